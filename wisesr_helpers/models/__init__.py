"""Models: heads, backbones, the classifiers made of them, their costs, where they look. May import layers and data."""
