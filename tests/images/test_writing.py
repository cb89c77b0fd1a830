"""Pictures are written to the last byte, or not at all."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from facemask.images.writing import write_by_pillow, write_image
from facemask.io.files import ROOT

# Prints for each picture what came of writing it with just enough room and with a little less. A
# file may grow to so many bytes; the write that goes beyond is cut short, as on a full disk.
WRITE = """
import json, resource, signal, sys
from pathlib import Path
import numpy as np
from facemask.images import writing

image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for how, name in json.loads(sys.argv[1]):
    write, path = getattr(writing, how), Path(name)
    write(path, image)
    size = path.stat().st_size
    for room in (size, size - 1, size - 1000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            write(path, image)
            said = "written"
        except OSError as error:
            said = error.strerror
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print(said)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
def test_every_byte_counts(tmp_path):
    cases = [("write_image", "a.png"), ("write_image", "a.webp"), ("write_by_pillow", "a.jpg"),
             ("write_by_pillow", "a.png"), ("write_by_pillow", "a.tif")]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WRITE, json.dumps([(w, str(tmp_path / n)) for w, n in cases])],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["written", "File too large", "File too large"] * len(cases)


def test_same_picture_as_by_opencv_and_pillow(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    write_image(tmp_path / "a.png", image)
    cv2.imwrite(str(tmp_path / "b.png"), image[..., ::-1])
    write_by_pillow(tmp_path / "a.jpg", image, quality=92)
    Image.fromarray(image).save(tmp_path / "b.jpg", quality=92)
    for end in ("png", "jpg"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()
