"""Hypothesis' way to the spoilt files of `facemask.torture.files`."""

import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from facemask.io.files import FacemaskError
from facemask.torture.files import PARTS, SECONDS, content_of
from facemask.torture.spoilt import KINDS, Case, Step

NUMBERS = st.integers(0, 2**32 - 1)
STEPS = st.lists(st.builds(Step, st.sampled_from(KINDS), NUMBERS, NUMBERS), max_size=5)
CASES = st.builds(Case, NUMBERS, NUMBERS, STEPS.map(tuple))
# The same files in every run; the command of `torture` tries many more.
SHORT = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def holds(part: str, case: Case) -> None:
    """The file is accepted, and what the part's check asserts is true, or it is refused; in time.

    Processor time counts, as other work on the machine may make any file slow.
    """
    content = content_of(part, case)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        try:
            PARTS[part].check(content, Path(folder))
        except FacemaskError as error:
            assert not isinstance(error.__cause__, MemoryError)
        assert time.process_time() - start < SECONDS
