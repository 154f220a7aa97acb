"""Training: recipes, the loop, checkpoints, and the runs that it leaves."""
