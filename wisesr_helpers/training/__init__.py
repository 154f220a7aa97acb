"""Training: recipes, the loop, checkpoints, and the runs that it leaves. May import models and what is below."""
