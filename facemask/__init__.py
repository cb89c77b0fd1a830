"""Face-mask classifier: the stages that the notebooks call, a room each."""

__version__ = "0.1.0"

# The order every label file, model output and table follows; two-class data uses the first two.
CLASSES = ("with_mask", "without_mask", "incorrect_mask")
