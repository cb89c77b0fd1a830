"""Photos side by side in a large one."""

import numpy as np

from facemask.finder.measure import CELL, in_one


def test_boxes_follow_their_photos():
    rng = np.random.default_rng(0)
    photos, seen = [], []
    for k in range(11):
        image = np.full((400, 300 + 10 * k, 3), 40, np.uint8)
        x, y = rng.integers(10, 200, 2)
        image[y : y + 50, x : x + 60] = 250
        photos.append(("street", image, np.array([[x, y, 60, 50]], float)))
        seen.append([np.array([[x, y, 60, 50, 0.9]]), np.empty((0, 5))])
    large, known = in_one(photos, seen)
    assert [len(boxes) for _, _, boxes in large] == [9, 2]
    for (_, image, boxes), (first, second) in zip(large, known, strict=True):
        assert image.shape == (3 * CELL, 3 * CELL, 3) and len(second) == 0
        np.testing.assert_allclose(first[:, :4], boxes)
        for x, y, width, height in boxes.round().astype(int):
            assert image[y + 3 : y + height - 3, x + 3 : x + width - 3].min() > 240
            assert image[y - 6 : y - 3, x : x + width].max() < 60
