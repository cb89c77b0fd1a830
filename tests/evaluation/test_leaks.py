"""Copies in a split folder: counted by kind, kept, and what each way of splitting makes of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.datasets.prepare import prepare, split_files
from facemask.evaluation.leaks import copied, group_ids, leaking_shares, split_copies, summary
from facemask.io.files import read_json


@pytest.fixture(scope="module")
def leaky(tmp_path_factory) -> tuple[Path, dict]:
    """Pictures with a publisher's split; of five test pictures three are in train as well."""
    rng, folder = np.random.default_rng(2), tmp_path_factory.mktemp("leaky")

    def draw() -> np.ndarray:
        return cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (64, 64))

    for label in ("mask", "no_mask"):
        train = [draw() for _ in range(12)]
        test = [draw() for _ in range(5)]
        if label == "mask":
            test[0] = train[0][:, ::-1]  # mirrored: the same picture
            test[1] = cv2.resize(train[1][4:-4, 4:-4], (64, 64))  # cut by 6% on each side
            turn = cv2.getRotationMatrix2D((31.5, 31.5), 22, 1)
            test[2] = cv2.warpAffine(train[2], turn, (64, 64), borderMode=cv2.BORDER_REPLICATE)
        for split, images in (("train", train), ("test", test), ("val", [draw() for _ in "abc"])):
            for number, image in enumerate(images):
                path = folder / "in" / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
    split = prepare(folder / "in", "x", folder, 48)
    return split, split_copies(split, folder / "run", progress=False)


def test_copies_are_counted_by_kind(leaky):
    split, found = leaky
    row = found["of_training"]["test"]["with_mask"]
    assert row == {"images": 5, "same": 1, "near": 2, "all": 3}
    assert found["of_training"]["test"]["without_mask"]["all"] == 0
    assert found["shared"]["test/with_mask"] == {"train/with_mask": 3}
    files = split_files(split, "test")
    marked = [f for f, c in zip(files, copied(found, files), strict=True) if c]
    assert marked == files[:3] and all(f.startswith("test/with_mask") for f in marked)
    groups = group_ids(found, [*files, *split_files(split, "train")])
    assert len(set(groups.tolist())) == len(groups) - 3
    assert "test       with_mask              5      1      2      3" in summary(found)


def test_copies_are_kept_and_looked_for_anew_when_the_split_changes(leaky, monkeypatch):
    split, found = leaky
    kept = split.parent.parent / "run" / "copies.json"
    assert read_json(kept) == split_copies(split, kept.parent)
    prepared = read_json(split / "prepare.json")
    assert found["made_from"]["data"] == prepared["settings"]
    monkeypatch.setattr("facemask.copies.duplicates.NEAR", 0.01)
    assert split_copies(split, kept.parent, progress=False)["made_from"] != found["made_from"]


def test_shares_by_way_of_splitting(leaky):
    split, found = leaky
    assert leaking_shares(found, split)["this split"] == pytest.approx(0.3)
    # Ten families of four pictures: a simple split tears nearly all of them apart.
    files = [f for part in ("train", "test", "validation") for f in split_files(split, part)]
    families = dict(found, groups=[files[n::10] for n in range(10)])
    shares = leaking_shares(families, split)
    assert shares["simple split"] > 0.8 and shares["group-aware split"] == 0
