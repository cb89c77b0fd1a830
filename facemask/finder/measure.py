"""Measure the finder beside others: `python -m facemask.finder.measure ARCHIVES`.

Writes reports/finder.json: recall by size, false faces, prajnasb, time and size, of the finder,
of YuNet and CenterFace (see `teachers`) and of the BlazeFace before it, on the same pictures in
one run. Nothing was chosen on the test parts; `--part validation` shows what was chosen on.
`--seeds 0 1` adds by how much luck moves the figures, see `by_seed`.

`large` is of the street photos, nine in one picture of 2,400 pixels, with one look of the finder
and with two. `whole` says how many face crops of 12k, and how many photos, the released finder has
judged whole.

A found box that matches no annotated face is false if no teacher sees a face there at 0.3 or
more; otherwise it is a face that the annotators left out. A teacher's own boxes are held against
the other teacher.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facemask.datasets.download import download
from facemask.datasets.prepare import find_labelled
from facemask.finder import blazeface, teachers
from facemask.finder.collect import look
from facemask.finder.train import RELEASED, in_keras, train
from facemask.images.boxes import match, overlaps, size
from facemask.images.crops import resize
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, read_json, write_json
from facemask.metrics.detection import BANDS
from facemask.photos import finder
from facemask.release.collect import ARCHIVES
from facemask.release.photos import of_part, photos_of

REPORT = Path("reports/finder.json")
PEERS = {"YuNet n": 0.6, "CenterFace": 0.4}  # and their thresholds, at 640 px
FOUND, SEEN = 0.3, 0.3  # IoU, and a teacher's score
CELL = 800  # pixels of a photo's longer side among others in one picture
Find = Callable[[np.ndarray], np.ndarray]


def finders(folder: Path) -> dict[str, Find]:
    """Each finder by its name: from a uint8 RGB photo to boxes (N, 5)."""
    result: dict[str, Find] = {}
    for name, file in (("ours", "model-float16.tflite"), ("ours, int8", "model-int8.tflite")):
        if (folder / file).is_file():
            result[name] = finder.Finder(folder / file)
    for (name, threshold), find in zip(PEERS.items(), teachers.both(), strict=True):
        result[name] = _at(find, threshold)
    result["BlazeFace at 4 sizes"] = blazeface.find_faces
    return result


def _at(find: teachers.Finder, threshold: float) -> Find:
    return lambda image: _above(find(image, 640), threshold)


def _above(boxes: np.ndarray, threshold: float) -> np.ndarray:
    return boxes[boxes[:, 4] >= threshold]


def on_photos(find: Find, photos: list, seen: list, other: int | None = None) -> dict:
    """Recall by archive and size, and boxes that match nothing annotated.

    Args:
        photos: (archive, picture, annotated boxes (N, 4)).
        seen: both teachers' boxes of each photo.
        other: the only teacher to hold false boxes against; both if None.
    """
    table: dict[str, dict] = {}
    spent = time.process_time()
    found = [find(image) for _, image, _ in photos]
    spent = (time.process_time() - spent) * 1000 / len(photos)
    for archive in dict.fromkeys(row[0] for row in photos):
        sizes, hits, false, left_out = [], [], [], []
        count = 0
        for (own, _, truth), boxes, pair in zip(photos, found, seen, strict=True):
            if own != archive:
                continue
            count += 1
            pairs = match(boxes, truth, FOUND)
            sizes.append(size(truth))
            hits.append(pairs >= 0)
            rest = np.delete(boxes, pairs[pairs >= 0], axis=0)
            witnesses = pair if other is None else [pair[other]]
            known = np.concatenate([_above(np.array(b).reshape(-1, 5), SEEN) for b in witnesses])
            backed = np.array([(overlaps(b, known)[0] >= FOUND).any() for b in rest], bool)
            false.append(size(rest[~backed]))
            left_out.append(size(rest[backed]))
        sizes, hits, false, left_out = map(np.concatenate, (sizes, hits, false, left_out))
        row: dict = {"photos": count}
        for band, (low, high) in BANDS.items():
            inside = (sizes >= low) & (sizes < high)
            row[band] = {
                "faces": int(inside.sum()),
                "recall": round(float(hits[inside].mean()), 4),
                "false a photo": round(((false >= low) & (false < high)).sum() / count, 4),
            }
        row["false a photo"] = round(len(false) / count, 4)
        row["faces left out by annotators, a photo"] = round(len(left_out) / count, 4)
        table[archive] = row
    every = sum(r["false a photo"] * r["photos"] for r in table.values()) / len(photos)
    return {**table, "false a photo": round(every, 4), "CPU ms a photo": round(spent, 1)}


def on_portraits(find: Find, pictures: list[np.ndarray]) -> dict:
    """Pictures of one person each: share without a face, and faces beyond the first."""
    counts = np.array([len(find(image)) for image in tqdm(pictures, desc="Portraits")])
    return {
        "pictures": len(counts),
        "none found": round(float((counts == 0).mean()), 4),
        "extra a picture": round(float((counts - 1).clip(0).mean()), 4),
    }


def in_one(photos: list, seen: list, each: int = 3) -> tuple[list, list]:
    """Photos side by side in large pictures, `each` times `each` of CELL pixels in one.

    Args:
        photos, seen: as `on_photos` takes them, of one archive.

    Returns:
        The same of the large pictures.
    """
    result, known = [], []
    for start in range(0, len(photos), each * each):
        large = np.full((each * CELL, each * CELL, 3), 127, np.uint8)
        truth: list[np.ndarray] = []
        pair: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for k, (_, image, boxes) in enumerate(photos[start : start + each * each]):
            place = np.array(divmod(k, each))[::-1] * CELL
            scale = CELL / max(image.shape[:2])
            height, width = (int(side * scale) for side in image.shape[:2])
            y, x = place[::-1]
            large[y : y + height, x : x + width] = resize(image, width, height)
            truth.append(boxes * scale + [*place, 0, 0])
            for rows, own in zip(pair, seen[start + k], strict=True):
                rows.append(np.array(own).reshape(-1, 5) * [*[scale] * 4, 1] + [*place, 0, 0, 0])
        result.append((photos[0][0], large, np.concatenate(truth)))
        known.append([np.concatenate(rows) for rows in pair])
    return result, known


def on_large(photos: list, seen: list) -> dict:
    """What one look and two find in nine street photos at once, see `in_one` and `on_photos`."""
    street = [k for k, row in enumerate(photos) if row[0] == "street"]
    large = in_one([photos[k] for k in street], [seen[k] for k in street])
    return {
        "photos": len(street),
        "one look": on_photos(lambda image: finder.find_faces(image, again=False), *large),
        "two looks": on_photos(finder.find_faces, *large),
    }


def whole(pictures: list[np.ndarray]) -> dict:
    """How many pictures `is_face_crop` has judged whole."""
    judged = [finder.is_face_crop(p, finder.find_faces(p)) for p in tqdm(pictures, desc="Whole")]
    return {"pictures": len(judged), "judged whole": round(float(np.mean(judged)), 4)}


def speed(file: Path) -> dict:
    """Median CPU ms of the network alone, one thread, on canvases of three shapes."""
    network = finder.Finder(file)
    rng = np.random.default_rng(0)
    result: dict = {"bytes": file.stat().st_size}
    for height, width in ((480, 640), (640, 640), (640, 480)):
        shown = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        times = []
        for _ in range(25):
            start = time.process_time()
            network.maps(shown)
            times.append((time.process_time() - start) * 1000)
        result[f"{width} x {height}, ms"] = round(float(np.median(times[3:])), 2)
    return result


def gather(archives: Path, data_dir: Path, part: str) -> tuple[list, list, list[np.ndarray]]:
    """Photos and teachers' boxes as `on_photos` takes them; of the test part, prajnasb too."""
    by_archive = photos_of(archives, data_dir)
    rows = [(a, p, boxes) for a, scenes in of_part(by_archive, part).items()
            for p, boxes, _ in scenes]
    seen = look([p for _, p, _ in rows], data_dir / "finder" / f"teachers-{part}.json")
    photos = [(a, read_image(p), boxes) for a, p, boxes in rows]
    portraits = []
    if part == "test":
        raw = download(str(archives / ARCHIVES["prajnasb"]), data_dir)
        portraits = [read_image(p) for p in find_labelled(raw)]
    return photos, seen, portraits


def measure(archives: Path, data_dir: Path, folder: Path, part: str) -> dict:
    """All figures; see the module's text."""
    cv2.setNumThreads(1)
    photos, seen, portraits = gather(archives, data_dir, part)
    report: dict = {"part": part, "finders": {}, "threshold": finder.THRESHOLD,
                    "small, canvas px": finder.SMALL, "more for small": finder.SMALL_EXTRA}
    for name, find in finders(folder).items():
        peers = list(PEERS)
        other = 1 - peers.index(name) if name in peers else None
        report["finders"][name] = on_photos(find, photos, seen, other)
        if portraits:
            report["finders"][name]["prajnasb"] = on_portraits(find, portraits)
    crops = find_labelled(download(str(archives / ARCHIVES["12k"]), data_dir))
    report["whole"] = {
        "12k": whole([read_image(p) for p, (split, _) in crops.items() if split == part]),
        "photos": whole([image for _, image, _ in photos]),
    }
    report["large"] = on_large(photos, seen)
    report["speed"] = {f.name: speed(f) for f in sorted(folder.glob("model*.tflite"))}
    return report


def by_seed(archives: Path, data_dir: Path, seeds: Sequence[int], part: str) -> dict:
    """By how much luck moves the figures: the training's first course from each random seed.

    Trains what is not in data/finder-seed-<seed> yet: more than an hour each on two cores.

    Returns:
        epochs: of the course; seeds: by seed what `on_photos` and `on_portraits` say.
    """
    schedule = RELEASED._replace(courses=RELEASED.courses[:1])
    models = {seed: train(archives, data_dir / f"finder-seed-{seed}", data_dir, schedule, seed)
              for seed in seeds}  # fmt: skip
    cv2.setNumThreads(1)
    photos, seen, portraits = gather(archives, data_dir, part)
    rows = {}
    for seed, model in models.items():
        find = in_keras(model, finder.THRESHOLD)
        rows[str(seed)] = on_photos(find, photos, seen)
        if portraits:
            rows[str(seed)]["prajnasb"] = on_portraits(find, portraits)
    return {"epochs": schedule.epochs, "seeds": rows}


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Measure the face finder.")
    parser.add_argument("archives", type=Path, help="folder with the archives")
    parser.add_argument("--folder", type=Path, default=Path("models/finder"))
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", help="train and measure by each seed alone")
    args = parser.parse_args()
    report = read_json(REPORT) if REPORT.is_file() else {}
    if args.seeds:
        found = by_seed(args.archives, args.data_dir, args.seeds, args.part)
        report[f"{args.part}, by seed"] = found
    else:
        report[args.part] = measure(args.archives, args.data_dir, args.folder, args.part)
    write_json(REPORT, report)


if __name__ == "__main__":
    try:
        main()
    except FacemaskError as error:
        sys.exit(f"facemask: {error}")
