"""Copies are found whatever was done to them, other pictures are not, and groups stay together."""

import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import splitfolders
from PIL import Image

from facemask.benchmarks.copies import CHANGES, recall_and_precision
from facemask.copies import duplicates
from facemask.datasets.splits import group_callable
from facemask.images.reading import find_images
from facemask.io.files import FacemaskError, write_json

# Those that a copy finder has to find; the others are measured, not promised.
NAMES = [n for n in CHANGES if n not in ("cropped by 15 %", "turned by 20 degrees")]


def draw(seed: int, side: int = 112) -> np.ndarray:
    """A picture like no other: a smooth random ground and shapes on it."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.uniform(40, 215, (6, 6, 3)).astype(np.float32), (side, side),
                       interpolation=cv2.INTER_CUBIC)
    for _ in range(14):
        x, y, r = (int(v) for v in rng.uniform(0.05, 0.95, 3) * side)
        colour = [float(v) for v in rng.uniform(0, 255, 3)]
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), r // 5 + 3, colour, -1, cv2.LINE_AA)
        else:
            cv2.line(image, (x, y), (r, x), colour, 3, cv2.LINE_AA)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def described(images: list[np.ndarray]) -> duplicates.Descriptors:
    return duplicates.Descriptors([Path(str(n)) for n in range(len(images))],
                              np.stack([duplicates.thumbnail(image) for image in images]))


def save(image: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [draw(seed) for seed in range(60)]


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_copy_is_paired_with_its_source_and_nothing_else(name, pictures):
    rng = np.random.default_rng(1)
    made = [np.ascontiguousarray(CHANGES[name](p, rng)) for p in pictures[:25]]
    pairs = duplicates.find_copies(described(made), described(pictures), progress=False)
    assert len(pairs.i) >= 24
    assert (pairs.i == pairs.j).all()
    assert ((pairs.score >= duplicates.COPY) & (pairs.score <= 1.0001)).all()


def test_different_pictures_are_not_copies(pictures):
    assert len(duplicates.find_copies(described(pictures), progress=False).i) == 0


def test_shift_says_how_far_the_corners_moved(pictures):
    rng = np.random.default_rng(0)
    same = duplicates.find_copies(described(pictures[:9]), described(pictures), progress=False)
    assert same.shift.max() < 0.01
    mirrored = [p[:, ::-1].copy() for p in pictures[:9]]
    found = duplicates.find_copies(described(mirrored), described(pictures), progress=False)
    assert found.shift.max() < 0.03
    turned = [CHANGES["turned by 10 degrees"](p, rng) for p in pictures[:9]]
    shift = duplicates.find_copies(described(turned), described(pictures), progress=False).shift
    # A corner is half a diagonal from the centre, and the chord of 10 degrees is 2 sin 5 of that.
    assert shift == pytest.approx(np.sqrt(0.5) * 2 * np.sin(np.deg2rad(5)), abs=0.03)


def test_within_a_set_each_pair_is_listed_once_and_families_become_groups(pictures):
    rng = np.random.default_rng(2)
    family = [np.ascontiguousarray(change(pictures[0], rng)) for change in CHANGES.values()]
    images = pictures[:20] + family + [pictures[7]]
    found = duplicates.find_copies(described(images), progress=False)
    assert (found.i < found.j).all()
    assert len(set(zip(found.i.tolist(), found.j.tolist(), strict=True))) == len(found.i)
    group = duplicates.groups(described(images), found)
    expected = [*range(20), *[0] * len(family), 7]
    assert all((group[a] == group[b]) == (expected[a] == expected[b])
               for a in range(len(images)) for b in range(len(images)))


def test_pictures_without_any_structure_match_only_their_like(pictures):
    plain = np.full((50, 50, 3), 90, np.uint8)
    pairs = duplicates.find_copies(described([plain, *pictures[:5], plain]), progress=False)
    assert list(zip(pairs.i, pairs.j, strict=True)) == [(0, 6)]


def test_many_equal_pictures_all_join(pictures):
    images = [pictures[3]] * 40 + pictures[10:20]
    copies = duplicates.find_copies(described(images), progress=False)
    group = duplicates.groups(described(images), copies)
    assert Counter(group.tolist()).most_common(1)[0][1] == 40
    assert len(set(group.tolist())) == 11


def test_parts_of_a_family_join_though_each_crowds_the_other_out(pictures):
    # Two clusters of one picture: each member has more than ten nearer neighbours of its own part.
    rng = np.random.default_rng(6)
    apart = CHANGES["turned by 20 degrees"](pictures[0], rng)
    parts = [np.clip(p + rng.normal(0, 4, p.shape), 0, 255).astype(np.uint8)
             for p in [pictures[0]] * 25 + [apart] * 25]
    images = described(parts + pictures[10:20])
    group = duplicates.groups(images, duplicates.find_copies(images, progress=False))
    assert len(set(group[:50].tolist())) == 1
    assert len(set(group.tolist())) == 11


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_pictures(n, pictures):
    few = duplicates.Descriptors([Path()] * n, described(pictures).thumbs[:n])
    assert len(duplicates.find_copies(few, progress=False).i) == 0
    assert len(duplicates.groups(few, duplicates.find_copies(few, progress=False))) == n
    assert len(duplicates.find_copies(few, described(pictures), progress=False).i) == n


def test_the_same_pictures_give_the_same_answer_twice(pictures):
    images = described(pictures + [p[:, ::-1].copy() for p in pictures])
    first, second = (duplicates.find_copies(images, progress=False) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_an_inverted_file_finds_what_exact_search_finds(pictures, monkeypatch):
    rng = np.random.default_rng(3)
    noise = described([draw(seed, 64) for seed in range(1000, 1800)]).thumbs
    thumbs = np.concatenate([described(pictures).thumbs, noise])
    known = duplicates.Descriptors([Path()] * 860, thumbs)
    made = described([CHANGES["turned by 5 degrees"](p, rng) for p in pictures])
    monkeypatch.setattr("facemask.copies.similar.FLAT_UP_TO", 100)
    pairs = duplicates.find_copies(made, known, progress=False)
    assert (pairs.i == pairs.j).all() and len(pairs.i) >= 57


def test_the_cache_spares_reading_and_notices_a_change(tmp_path, pictures):
    paths = [save(p, tmp_path / f"{n}.png") for n, p in enumerate(pictures[:4])]
    cache = tmp_path / "cache.npz"
    first = duplicates.describe(paths, cache, progress=False)
    status = os.stat(paths[0])
    paths[0].write_bytes(b"x" * status.st_size)  # only who reads it again would notice
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    again = duplicates.describe(paths[::-1], cache, progress=False)
    assert (again.thumbs[::-1] == first.thumbs).all()
    os.utime(paths[0], ns=(0, 0))
    with pytest.raises(FacemaskError, match="0.png"):
        duplicates.describe(paths, cache, progress=False)
    save(pictures[9], paths[0])
    changed = duplicates.describe(paths, cache, progress=False)
    assert (changed.thumbs[0] == duplicates.thumbnail(pictures[9])).all()
    cache.write_bytes(b"not a cache")
    assert (duplicates.describe(paths, cache, progress=False).thumbs == changed.thumbs).all()
    assert len(np.load(cache)["names"]) == 4


def test_unreadable_files_are_named(tmp_path, pictures):
    good = save(pictures[0], tmp_path / "good.png")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    with pytest.raises(FacemaskError, match="1 of 2 files: .*bad.jpg"):
        duplicates.describe([good, bad], progress=False)
    with pytest.raises(FacemaskError, match="nowhere.jpg does not exist"):
        duplicates.describe([tmp_path / "nowhere.jpg"], progress=False)


def test_copies_of_training_pictures_are_left_out(tmp_path, pictures):
    rng = np.random.default_rng(4)
    train = [save(p, tmp_path / f"train/{n}.png") for n, p in enumerate(pictures[:30])]
    test = [save(p, tmp_path / f"test/{n}.png") for n, p in enumerate(pictures[40:50])]
    test.append(save(CHANGES["mirrored"](pictures[3], rng).copy(), tmp_path / "test/near.jpg"))
    test.append(save(CHANGES["turned by 20 degrees"](pictures[4], rng), tmp_path / "test/far.jpg"))
    everything = duplicates.leave_out_copies(test, train, progress=False)
    assert everything.tolist() == [False] * 10 + [True, True]
    near = duplicates.leave_out_copies(test, train, largest_shift=duplicates.NEAR, progress=False)
    assert near.tolist() == [False] * 10 + [True, False]


def test_copies_are_counted_within_and_across_places(pictures, tmp_path):
    mirrored = pictures[0][:, ::-1].copy()
    wanted = {"a": pictures[:6], "b": [*pictures[10:16], mirrored],
              "two": [pictures[0], pictures[5], pictures[30]]}
    paths = [save(image, tmp_path / place / f"{n}.png")
             for place, images in wanted.items() for n, image in enumerate(images)]
    places = [path.parent.name for path in paths]
    group = duplicates.group_pictures(paths)
    report = duplicates.count_copies(group, [str(path) for path in paths], places)
    write_json(tmp_path / "report.json", report)
    assert report["images"] == 16
    assert report["shared"] == {
        "a": {"b": 1, "two": 2}, "b": {"a": 1, "two": 1}, "two": {"a": 2, "b": 1}
    }
    assert report["group_sizes"] == {"1": 11, "2": 1, "3": 1}
    assert [len(group) for group in report["groups"]] == [3, 2]


def families(folder: Path, seed: int) -> tuple[list[Path], list[int]]:
    """Files in three classes, in groups of very uneven size; some groups span two classes."""
    rng = np.random.default_rng(seed)
    sizes = {"with": [1] * 300, "without": [1] * 180 + [4] * 30,
             "wrong": [*rng.integers(20, 60, 14), *[1] * 30]}
    paths, groups, number = [], [], 0
    for name, counts in sizes.items():
        (folder / name).mkdir(parents=True)
        for count in counts:
            number += 1
            for _ in range(count):
                paths.append(folder / name / f"{rng.integers(10**9):09d}.jpg")
                paths[-1].write_bytes(b"")
                groups.append(number)
    for _ in range(25):  # a picture of one class in a group of another
        groups[rng.integers(300)] = int(rng.integers(301, number + 1))
    return paths, groups


def split_of(folder: Path) -> dict[str, str]:
    return {f"{p.parts[-2]}/{p.name}": p.parts[-3] for p in folder.rglob("*.jpg")}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_splits_hold_whole_groups_in_the_asked_ratio(tmp_path, seed):
    paths, groups = families(tmp_path / "in", seed)
    for out in ("out", "again"):
        splitfolders.ratio(str(tmp_path / "in"), str(tmp_path / out), ratio=(0.7, 0.15, 0.15),
                           shuffle=False, group=group_callable(paths, groups, seed=seed))
    split = split_of(tmp_path / "out")
    assert split == split_of(tmp_path / "again")
    assert len(split) == len(paths)
    sides: dict[int, set[str]] = {}
    for path, group in zip(paths, groups, strict=True):
        sides.setdefault(group, set()).add(split[f"{path.parent.name}/{path.name}"])
    assert all(len(side) == 1 for side in sides.values())
    for name in ("with", "without", "wrong"):
        held = Counter(side for key, side in split.items() if key.startswith(name + "/"))
        share = {side: count / held.total() for side, count in held.items()}
        assert share == pytest.approx({"train": 0.7, "val": 0.15, "test": 0.15}, abs=0.02)


def test_another_seed_gives_another_split(tmp_path):
    paths, groups = families(tmp_path / "in", 1)
    wrong = [p for p in paths if p.parent.name == "wrong"]
    one, two = (group_callable(paths, groups, seed=seed)(wrong) for seed in (1, 2))
    test = [{p for part in parts[85:] for p in part} for parts in (one, two)]
    assert len(test[0] & test[1]) < 0.5 * len(test[0])


def test_groups_stay_whole_even_if_split_folders_shuffles(tmp_path):
    paths, groups = families(tmp_path / "in", 1)
    splitfolders.ratio(str(tmp_path / "in"), str(tmp_path / "out"), ratio=(0.7, 0.15, 0.15),
                       group=group_callable(paths, groups))
    split = split_of(tmp_path / "out")
    sides: dict[int, set[str]] = {}
    for path, group in zip(paths, groups, strict=True):
        sides.setdefault(group, set()).add(split[f"{path.parent.name}/{path.name}"])
    assert all(len(side) == 1 for side in sides.values())


def test_folds_hold_whole_groups(tmp_path):
    paths, groups = families(tmp_path / "in", 5)
    splitfolders.kfold(str(tmp_path / "in"), str(tmp_path / "out"), k=5, move="copy",
                       shuffle=False, group=group_callable(paths, groups, [0.2] * 5))
    group_of = {f"{p.parent.name}/{p.name}": g for p, g in zip(paths, groups, strict=True)}
    held = []
    for fold in sorted((tmp_path / "out").iterdir()):
        split = split_of(fold)
        train = {group_of[k] for k, side in split.items() if side == "train"}
        val = {group_of[k] for k, side in split.items() if side == "val"}
        assert val and not train & val
        held.append(sum(side == "val" for side in split.values()))
    assert sum(held) == len(paths) and max(held) < 1.1 * min(held)


def test_few_groups_and_unknown_files(tmp_path):
    paths = [tmp_path / c / f"{n}.jpg" for c in "ab" for n in range(6)]
    pack = group_callable(paths, [1, 1, 1, 2, 3, 4, *range(5, 11)])
    assert sorted(len(part) for part in pack(paths[:6]) if part) == [1, 1, 1, 3]
    assert [sum(map(len, pack(paths[6:])[a:b])) for a, b in ((0, 70), (70, 85), (85, 100))] == [
        4, 1, 1
    ]
    with pytest.raises(FacemaskError, match="stranger.jpg"):
        pack([tmp_path / "a" / "stranger.jpg"])


def test_on_photographs(archives, tmp_path):
    """625 photographs, every 16th of 12k Train: nearly all copies found, nearly no false ones."""
    import zipfile

    with zipfile.ZipFile(archives / "face-mask-12k-images-dataset.zip") as archive:
        names = sorted(n for n in archive.namelist() if "/Train/" in n and n.endswith(".jpg"))
        archive.extractall(tmp_path, names[::16])
    photos = duplicates.describe(find_images(tmp_path), progress=False)
    assert len(photos.paths) > 600
    group = duplicates.groups(photos, duplicates.find_copies(photos, progress=False))
    rows = recall_and_precision(photos, group, count=60)
    for name in NAMES:
        assert rows[name]["recall"] >= 0.95, name
        assert rows[name]["precision"] >= 0.97, name
