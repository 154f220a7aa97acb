"""Studies: what is run, how it is run and reported, and what else was tried."""
