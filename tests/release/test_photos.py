"""The committed split of the annotated photos."""

from facemask.io.files import read_json
from facemask.release import photos


def test_the_split_has_every_photo_once_in_the_shares_it_names():
    parts = read_json(photos.SPLIT)
    names = [name for part in parts.values() for name in part]
    assert len(names) == len(set(names)) == 426 + 795
    for part, share in photos.PARTS.items():
        assert abs(len(parts[part]) / len(names) - share) < 0.02
