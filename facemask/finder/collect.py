"""Gather what the finder is trained and chosen on: data/finder/{pictures.npy, index.json}.

Photos come from the archives `face-mask-street` and `face-mask-scenes`, split as `release.photos`
has it. Single faces come from 12k's Train and the training part of the 3-class archive, less
copies of faces in the validation and test photos: much of the 3-class archive was cut from the
scenes.

Annotators left faces in the background out, so two teachers look as well. A face is what was
annotated, or what both teachers see; what only one sees well, or both faintly, is neither a face
nor none: training passes over it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from facemask.copies import duplicates
from facemask.datasets.download import download
from facemask.datasets.prepare import find_labelled
from facemask.finder import teachers
from facemask.images.boxes import match, overlaps, size
from facemask.images.crops import crop_faces
from facemask.images.reading import read_image
from facemask.images.writing import write_image
from facemask.io.files import read_json, write_json, write_whole
from facemask.release.collect import ARCHIVES, split_3class
from facemask.release.photos import photos_of, split

SIDES = (640, 1152)  # longer side at which the teachers look
SURE = (0.45, 0.3)  # YuNet's and CenterFace's scores from which their agreement makes a face
ALONE = (0.5, 0.3)  # and from which what one sees alone is unsure
AGREE = 0.4  # IoU of what both see
COVERED = 0.5  # of a teacher's box by an annotated one: the same face, or a part of it
LARGEST = 1024  # pixels of a kept photo's longer side
# Of a single face's picture: round the crop is repeated border, half its side wide.
ROOM, LOOK, ONE, RIVAL = 0.5, 320, 0.6, 0.3


class Picture(NamedTuple):
    """One kept picture.

    Attributes:
        name: <archive>/<path in it>.
        part: train, validation or test.
        faces: float (N, 4), x, y, width, height in pixels.
        unsure: float (M, 4), places that may be faces.
        annotated: how many of `faces`, the first ones, people annotated.
    """

    name: str
    part: str
    faces: np.ndarray
    unsure: np.ndarray
    annotated: int


def label(annotated: np.ndarray, seen: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Faces and unsure places of a photo, from annotators and both teachers.

    Args:
        annotated: (N, 4).
        seen: YuNet's and CenterFace's boxes, each (M, 5) with score.

    Returns:
        (N + K, 4) faces, the annotated ones first, and (L, 4) unsure places.
    """
    first, second = (b[~_covered(b, annotated)] for b in seen)
    pairs = match(second[:, :4], first[:, :4], AGREE)  # of each of the first its second, or -1
    agreed = pairs >= 0
    sure = agreed & (first[:, 4] >= SURE[0])
    sure[agreed] &= second[pairs[agreed], 4] >= SURE[1]
    faces = (first[sure, :4] + second[pairs[sure], :4]) / 2
    alone = np.delete(second, pairs[agreed], axis=0)
    faint = ~sure & (agreed | (first[:, 4] >= ALONE[0]))
    unsure = np.concatenate([first[faint, :4], alone[alone[:, 4] >= ALONE[1], :4]])
    return np.concatenate([annotated, faces]), unsure


def _covered(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Which boxes are one of `by`, or lie in one of the size of a part of it: bool (N,)."""
    result = np.zeros(len(boxes), bool)
    for box in by:
        iou, share = overlaps(box, boxes)
        small = size(boxes) < size(box[None]) * 0.7
        result |= (iou >= 0.3) | (share >= COVERED) & small
    return result


_finders: list = []


def _set_up(floor: float) -> None:
    cv2.setNumThreads(1)
    _finders[:] = teachers.both(threads=1, floor=floor)


def _look(image_or_path: Path) -> list[np.ndarray]:
    image = read_image(image_or_path)
    return [teachers.at_sizes(find, image, SIDES) for find in _finders]


def _look_at_face(path: Path) -> np.ndarray:
    """YuNet's boxes on one face's picture with room round it, in pixels of the picture."""
    image = read_image(path)
    height, width = image.shape[:2]
    room = int(max(height, width) * ROOM)
    canvas = cv2.copyMakeBorder(image, *[room] * 4, cv2.BORDER_REPLICATE)
    found = _finders[0](canvas, LOOK)
    found[:, :2] -= room
    return found


def look(paths: Iterable[Path], cache: Path, workers: int = 2) -> list[list[np.ndarray]]:
    """Both teachers' boxes of every photo; kept in a file."""
    paths = list(paths)
    return _cached(_look, paths, cache, workers, "Teachers")


def _cached(
    look: Callable[[Path], Any], paths: list[Path], cache: Path, workers: int, what: str
) -> list:
    names = [_name(p) for p in paths]
    known = read_json(cache) if cache.is_file() else {}
    missing = [k for k, name in enumerate(names) if name not in known]
    if missing:
        teachers.check()  # here, for of a worker's trouble only that it ended is heard
        with ProcessPoolExecutor(workers, initializer=_set_up, initargs=(0.2,)) as pool:
            results = pool.map(look, [paths[k] for k in missing], chunksize=4)
            for count, (k, seen) in enumerate(zip(missing, tqdm(results, what, len(missing))), 1):
                known[names[k]] = [boxes.round(4).tolist() for boxes in seen]
                if count % 500 == 0 or count == len(missing):
                    write_json(cache, known)
    return [known[name] for name in names]


def allowed_faces(archives: Path, data_dir: Path, folder: Path, unseen: list) -> list[Path]:
    """Pictures of single faces that may be trained on; the choice is kept in left-out.json.

    Args:
        unseen: (path, boxes) of photos whose faces must not be trained on.
    """
    raw = {name: download(str(archives / ARCHIVES[name]), data_dir) for name in ("12k", "3class")}
    paths = [p for p, (part, _) in find_labelled(raw["12k"]).items() if part == "train"]
    paths += split_3class(raw["3class"], data_dir / "release")[0]
    if not (folder / "left-out.json").is_file():
        cuts = folder / "unseen-faces"
        cuts.mkdir(exist_ok=True)
        cut_paths = []
        for path, boxes in unseen:
            image = read_image(path)
            for k, box in enumerate(boxes[size(boxes) >= 20]):
                face = crop_faces(image, box[None], 96, 0.1)[0]
                cut_paths.append(cuts / f"{path.stem}-{k}.png")
                write_image(cut_paths[-1], face)
        copied = duplicates.leave_out_copies(paths, cut_paths, folder / "copies-faces.npz")
        names = [_name(path) for path, copy in zip(paths, copied) if copy]
        write_json(folder / "left-out.json", names)
    out = set(read_json(folder / "left-out.json"))
    return [p for p in paths if _name(p) not in out]


def single_faces(paths: list[Path], folder: Path) -> list[tuple[Path, np.ndarray]]:
    """Of pictures of single faces those in which YuNet sees one, with its box (1, 4)."""
    seen = map(_only_face, _cached(_look_at_face, paths, folder / "faces.json", 2, "Single faces"))
    return [(path, box) for path, box in zip(paths, seen) if box is not None]


def _name(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _only_face(found: list) -> np.ndarray | None:
    found = np.array(found).reshape(-1, 5)
    if not len(found) or found[0, 4] < ONE or (found[1:, 4] > RIVAL).any():
        return None
    return found[:1, :4]


def fit(labels: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """How annotators' boxes differ from a teacher's: shift of the centre and scale, in its units.

    Args:
        labels: per photo annotated boxes (N, 4) and a teacher's (M, 5).

    Returns:
        dx, dy, sx, sy: medians.
    """
    rows = []
    for annotated, seen in labels:
        seen = seen[seen[:, 4] >= 0.5]
        pairs = match(seen, annotated, 0.3)
        true, own = annotated[pairs >= 0], seen[pairs[pairs >= 0]]
        shift = true[:, :2] + true[:, 2:] / 2 - own[:, :2] - own[:, 2:4] / 2
        rows.append(np.hstack([shift / own[:, 2:4], true[:, 2:] / own[:, 2:4]]))
    return np.median(np.concatenate(rows), axis=0)


def refit(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Boxes (N, 4 or 5) moved and scaled by what `fit` gave."""
    boxes = boxes.copy()
    centre = boxes[:, :2] + boxes[:, 2:4] * (0.5 + by[:2])
    boxes[:, 2:4] *= by[2:]
    boxes[:, :2] = centre - boxes[:, 2:4] / 2
    return boxes


def collect(archives: str | Path, data_dir: str | Path = "data") -> Path:
    """Gather all pictures and labels of the training and validation parts; once.

    Returns:
        The folder with pictures.npy, uint8 (bytes of all pictures in a row,), index.json, see
        `read`, and what teachers saw.
    """
    archives, data_dir = Path(archives), Path(data_dir)
    folder = data_dir / "finder"
    if (folder / "index.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    photos = photos_of(archives, data_dir)
    parts = split(photos, folder / "copies.npz")
    every = [(f"{a}/{p.name}", p, boxes) for a, scenes in photos.items() for p, boxes, _ in scenes]
    shown = [row for row in every if parts[row[0]] != "test"]
    seen = look([p for _, p, _ in shown], folder / "teachers.json")
    seen = [[np.array(b).reshape(-1, 5) for b in pair] for pair in seen]
    trained = [k for k, row in enumerate(shown) if parts[row[0]] == "train"]
    fits = [fit([(shown[k][2], seen[k][t]) for k in trained]) for t in (0, 1)]
    entries = []
    for (name, path, boxes), pair in zip(shown, seen):
        faces, unsure = label(boxes, [refit(b, f) for b, f in zip(pair, fits)])
        entries.append((path, Picture(name, parts[name], faces, unsure, len(boxes))))
    hidden = [(path, boxes) for name, path, boxes in every if parts[name] != "train"]
    none = np.empty((0, 4))
    allowed = allowed_faces(archives, data_dir, folder, hidden)
    for path, box in single_faces(allowed, folder):
        name = f"face/{_name(path)}"
        entries.append((path, Picture(name, "train", refit(box, fits[0]), none, 0)))
    _write(folder, entries, [f.round(4).tolist() for f in fits])
    return folder


def _write(folder: Path, entries: list, fits: list) -> None:
    rows, place = [], 0
    with write_whole(folder / "pictures.npy") as partial:
        raw = partial.with_suffix(".raw")
        with open(raw, "wb") as file:
            for path, picture in tqdm(entries, desc="Reading pictures"):
                image = read_image(path)
                scale = min(1.0, LARGEST / max(image.shape[:2]))
                if scale < 1:
                    image = cv2.resize(image, None, fx=scale, fy=scale,
                                       interpolation=cv2.INTER_AREA)
                file.write(image.tobytes())
                rows.append({
                    "name": picture.name, "part": picture.part, "place": place,
                    "shape": list(image.shape), "annotated": picture.annotated,
                    "faces": (picture.faces * scale).round(2).tolist(),
                    "unsure": (picture.unsure * scale).round(2).tolist(),
                })
                place += image.size
        with open(partial, "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (place,)}
            np.lib.format.write_array_header_1_0(file, header)
            with open(raw, "rb") as source:
                while block := source.read(1 << 24):
                    file.write(block)
        os.unlink(raw)
    write_json(folder / "index.json", {"fits": fits, "pictures": rows})


def read(folder: Path) -> list[tuple[np.ndarray, Picture]]:
    """What `collect` has gathered: pictures, uint8 RGB (H, W, 3), on disk, with their labels."""
    data = np.load(folder / "pictures.npy", mmap_mode="r")
    result = []
    for row in read_json(folder / "index.json")["pictures"]:
        shape, place = row["shape"], row["place"]
        image = data[place : place + int(np.prod(shape))].reshape(shape)
        faces, unsure = (np.array(row[k], float).reshape(-1, 4) for k in ("faces", "unsure"))
        picture = Picture(row["name"], row["part"], faces, unsure, row["annotated"])
        result.append((image, picture))
    return result
