"""Studies: what is run, how it is run and reported, and what else was tried. May import every other room."""
