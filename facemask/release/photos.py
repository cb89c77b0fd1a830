"""The annotated photos, and which of them are for training, for choosing and for testing.

They come from the archives `face-mask-street` and `face-mask-scenes`, split 60/20/20 by groups of
near copies over both. The split is committed (split.json), so that nobody trains on what was
tested on.
"""

from pathlib import Path

import numpy as np

from facemask.copies import duplicates
from facemask.datasets.download import download
from facemask.datasets.scenes import read_scenes
from facemask.images.boxes import size
from facemask.io.files import read_json, write_json

ARCHIVES = {"street": "face-mask-street.zip", "scenes": "face-mask-scenes.zip"}
SPLIT = Path(__file__).with_name("split.json")
PARTS = {"train": 0.6, "validation": 0.2, "test": 0.2}


def photos_of(archives: Path, data_dir: Path) -> dict[str, list]:
    """Archive -> photos with their annotated boxes, as `read_scenes` gives them."""
    return {a: read_scenes(download(str(archives / f), data_dir)) for a, f in ARCHIVES.items()}


def split(photos: dict[str, list], cache: Path) -> dict[str, str]:
    """The part of every photo, by its name; dealt out once and written to split.json.

    Groups of copies stay whole. They go, larger first, to the part that is furthest from its
    share, counted in photos and in small, middling and large faces of each archive alike.

    Args:
        photos: archive -> what `read_scenes` gives.
        cache: file for `duplicates.describe`.
    """
    if not SPLIT.is_file():
        names = [f"{a}/{p.name}" for a, scenes in photos.items() for p, _, _ in scenes]
        paths = [p for scenes in photos.values() for p, _, _ in scenes]
        rows = []
        for number, scenes in enumerate(photos.values()):
            for _, boxes, _ in scenes:
                row = np.zeros((len(photos), 5))
                bands = np.digitize(size(boxes), (16, 32, 64))
                row[number] = [1, *np.bincount(bands, minlength=4)]
                rows.append(row.ravel())
        counts = np.array(rows)
        counts /= np.maximum(counts.sum(axis=0), 1)
        _, group = np.unique(duplicates.group_pictures(paths, cache), return_inverse=True)
        totals = np.zeros((group.max() + 1, counts.shape[1]))
        np.add.at(totals, group, counts)
        shares = np.array(list(PARTS.values()))[:, None]
        full = np.zeros((len(PARTS), counts.shape[1]))
        side = np.zeros(len(totals), int)
        order = np.random.default_rng(0).permutation(len(totals))
        for g in order[np.argsort(-totals[order].sum(axis=1), kind="stable")]:
            lack = ((shares - full) * totals[g]).sum(axis=1) / shares[:, 0]
            side[g] = lack.argmax()
            full[side[g]] += totals[g]
        part = np.array(list(PARTS))[side[group]]
        write_json(SPLIT, {p: sorted(np.array(names)[part == p].tolist()) for p in PARTS})
    return {name: part for part, names in read_json(SPLIT).items() for name in names}


def of_part(photos: dict[str, list], part: str) -> dict[str, list]:
    """Of what `photos_of` gives, the photos that the committed split has in a part."""
    names = set(read_json(SPLIT)[part])
    return {archive: [row for row in scenes if f"{archive}/{row[0].name}" in names]
            for archive, scenes in photos.items()}


def faces_of(faces: dict[Path, str], archive: str, *parts: str) -> dict[Path, str]:
    """Of faces cut out of an archive's photos by `collect.scene_faces`, those of some parts."""
    split = read_json(SPLIT)
    own = {Path(name).stem for part in parts for name in split[part]
           if name.startswith(f"{archive}/")}
    return {p: label for p, label in faces.items() if p.stem.rsplit("-", 2)[0] in own}
