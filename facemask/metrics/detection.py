"""By what a face finder is measured."""

import numpy as np

# From and below how many pixels: the root of a face's area.
BANDS = {"64 px and more": (64, np.inf), "32 to 63 px": (32, 64), "16 to 31 px": (16, 32)}
