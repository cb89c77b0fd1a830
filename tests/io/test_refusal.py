"""What another program printed when the system refused its writing is known for that."""

import errno

import pytest

from facemask.io.files import refusal

TENSORFLOW = "tensorflow.python.framework.errors_impl."


@pytest.mark.parametrize("said, code", [
    ("x\nOSError: [Errno 28] No space left on device\n", errno.ENOSPC),
    (f"{TENSORFLOW}PermissionDeniedError: a/b; Read-only file system\n", errno.EROFS),
    (f"{TENSORFLOW}ResourceExhaustedError: a/b; No space left on device", errno.ENOSPC),
    (f"{TENSORFLOW}NotFoundError: a/b; No such file or directory", None),
    ("OSError: [Errno 2] No such file", None),
    ("", None),
])  # fmt: skip
def test_refusals(said, code):
    error = refusal(said)
    assert (error.errno if error else None) == code
