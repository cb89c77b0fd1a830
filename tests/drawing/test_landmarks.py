import io
import zipfile

import cv2
import numpy as np
import pytest

from facemask.drawing.landmarks import default_shape, face_shape, shapes_of
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError


def drawn_face(size: int = 160) -> np.ndarray:
    image = np.full((size, size, 3), (90, 120, 150), np.uint8)
    k = size / 160
    points = {"ellipse": ((80, 85), (58, 74)), "eyes": [(57, 68), (103, 68)]}
    centre, axes = ([int(v * k) for v in pair] for pair in points["ellipse"])
    cv2.ellipse(image, centre, axes, 0, 0, 360, (205, 160, 135), -1, cv2.LINE_AA)
    for eye in points["eyes"]:
        at = [int(v * k) for v in eye]
        cv2.ellipse(
            image, at, [int(11 * k), int(6 * k)], 0, 0, 360, (245, 245, 245), -1, cv2.LINE_AA
        )
        cv2.circle(image, at, int(5 * k), (50, 30, 20), -1, cv2.LINE_AA)
    cv2.line(image, (int(80 * k), int(72 * k)), (int(84 * k), int(100 * k)), (150, 105, 85), 2)
    cv2.ellipse(
        image, [int(80 * k), int(122 * k)], [int(22 * k), int(7 * k)], 0, 0, 360, (170, 70, 75), -1
    )
    return image


def check_order(shape) -> None:
    assert shape.jaw.shape == (17, 2) and shape.mouth.shape == (4, 2) and shape.eyes.shape == (2, 2)
    heights = [
        shape.nose_bridge[1],
        shape.nose_tip[1],
        shape.nose_base[1],
        shape.mouth[3, 1],
        shape.jaw[8, 1],
    ]
    assert heights == sorted(heights)
    assert shape.jaw[0, 0] < shape.jaw[8, 0] < shape.jaw[16, 0]
    assert shape.eyes[0, 0] < shape.eyes[1, 0] and shape.mouth[0, 0] < shape.mouth[2, 0]


@pytest.mark.parametrize("size", [40, 160, 600])
def test_a_drawn_face_gives_a_shape_in_order_or_none(size):
    shape = face_shape(drawn_face(size))
    if shape is not None:
        check_order(shape)


def test_no_face_no_shape():
    rng = np.random.default_rng(0)
    assert face_shape(np.full((100, 100, 3), 127, np.uint8)) is None
    assert face_shape(rng.integers(0, 256, (100, 80, 3), dtype=np.uint8)) is None


def test_the_default_shape_is_a_symmetric_face_that_scales():
    shape = default_shape(200)
    check_order(shape)
    assert shape.jaw[0, 0] + shape.jaw[16, 0] == pytest.approx(200, abs=1)
    assert np.allclose(default_shape(100).mouth * 2, shape.mouth)


def bare_faces(archives, count: int) -> list[bytes]:
    with zipfile.ZipFile(archives / "face-mask-12k-images-dataset.zip") as zipped:
        names = sorted(
            n
            for n in zipped.namelist()
            if "/Train/WithoutMask/" in n and n[-4:] in (".jpg", ".png")
        )
        return [zipped.read(n) for n in names[:: len(names) // count][:count]]


def test_bare_face_crops_are_usable(archives):
    faces = [read_image(io.BytesIO(data)) for data in bare_faces(archives, 60)]
    shapes = [face_shape(face) for face in faces]
    found = [(face, shape) for face, shape in zip(faces, shapes, strict=True) if shape is not None]
    assert len(found) >= 54
    for _, shape in found:
        assert shape.nose_bridge[1] < shape.nose_tip[1] < shape.jaw[8, 1]
    # The mirrored crop gives the mirrored shape.
    for face, shape in found[:10]:
        mirrored = face_shape(np.ascontiguousarray(face[:, ::-1]))
        assert mirrored is not None
        tip = face.shape[1] - 1 - mirrored.nose_tip[0]
        assert abs(tip - shape.nose_tip[0]) < 0.06 * face.shape[1]


def test_shapes_are_kept_in_a_file_and_read_back(archives, tmp_path):
    paths = []
    for i, data in enumerate(bare_faces(archives, 4)):
        paths.append(tmp_path / f"{i}.jpg")
        paths[-1].write_bytes(data)
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((60, 60, 3), 90, np.uint8))
    cache = tmp_path / "shapes.npz"
    first = shapes_of([*paths[:2], empty], cache)
    written = cache.stat().st_mtime_ns
    assert set(first) == {str(p) for p in paths[:2]}
    again = shapes_of([*paths[:2], empty], cache)
    assert cache.stat().st_mtime_ns == written  # nothing was measured again
    assert all(np.array_equal(again[p].jaw, first[p].jaw) for p in first)
    assert set(shapes_of(paths, cache)) == {str(p) for p in paths}
    assert sorted(p.name for p in tmp_path.glob("*shapes*")) == ["shapes.npz"]


def test_a_broken_cache_is_named(tmp_path):
    (tmp_path / "shapes.npz").write_bytes(b"not a zip")
    with pytest.raises(FacemaskError, match="shapes.npz"):
        shapes_of([], tmp_path / "shapes.npz")
