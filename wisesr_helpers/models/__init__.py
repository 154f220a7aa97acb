"""Models: heads, backbones, the classifiers made of them, what they cost and where they look."""
