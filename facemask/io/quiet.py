"""Keep what native libraries say off the screen."""

import os
import sys


def hush() -> None:
    """Send what TensorFlow, absl, CUDA and XNNPACK write to the error stream nowhere.

    They write to file descriptor 2 past Python, at import and at first use. From here on Python's
    own `sys.stderr`, with warnings and tracebacks, is all that reaches the terminal. A program
    that is started later needs `stderr=sys.stderr` to be heard.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if sys.stderr.fileno() == 2:
            sys.stderr.flush()
            sys.stderr = os.fdopen(
                os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
            )
    except (AttributeError, OSError, ValueError):
        pass  # a notebook's or a test's own stream, which goes elsewhere
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
