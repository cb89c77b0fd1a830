"""Numbers that a user sets, checked before any work is done with them."""

from facemask.io.files import FacemaskError

# The least and the most that each may be. The networks halve a picture four times.
LIMITS = {
    "image_size": (24, 1024), "epochs": (1, 100_000), "batch_size": (1, 65_536),
    "seed": (0, 2**32 - 1),
}  # fmt: skip


def check_numbers(**values: object) -> None:
    """See that each is a whole number within its LIMITS.

    Raises:
        FacemaskError: one is not; the message says which and what it may be.
    """
    for name, value in values.items():
        low, high = LIMITS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise FacemaskError(
                f"{name} is {str(value)[:40]!r}; give a whole number from {low} to {high:,}"
            )
