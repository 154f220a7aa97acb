"""Studies: what is run, how it is run and reported, and what else was tried. May import every other room."""

import pandas as pd

pd.set_option("display.max_colwidth", None)  # the cells of many tables are sentences, which pandas would cut off
