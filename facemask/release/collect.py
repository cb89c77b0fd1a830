"""What the released model is trained on.

One three-class compact CNN, from `face-mask-12k` Train, the training groups of `face-mask-3class`,
the training photos of `face-mask-street`, and masks that our own code puts on the bare faces of 12k
Train, worn right and wrong. Training pictures that are copies of a picture to test on, or of a face
in the photos to choose by, are left out first; of 12k Validation, what they copy is not chosen by
(`settle`). `facemask.release.recipe` trains on it, `facemask.release.measure` tests,
`facemask.release.publish` publishes.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from facemask.copies import duplicates
from facemask.datasets.download import download
from facemask.datasets.prepare import find_labelled, read_all
from facemask.datasets.scenes import read_scenes
from facemask.drawing import masks, transplant
from facemask.drawing.landmarks import shapes_of
from facemask.images.crops import crop_faces, resize
from facemask.images.reading import read_image
from facemask.images.writing import write_image
from facemask.io.files import read_json, write_json, write_whole
from facemask.release import photos

ARCHIVES = {
    "12k": "face-mask-12k-images-dataset.zip",
    "3class": "face-mask-3class.zip",
    "prajnasb": "prajnasb-observations.zip",
    **photos.ARCHIVES,
}
IMAGE_SIZE = 96
FACE_MARGIN = 0.1  # round a face's box, as a share of its longer side
HELD_OUT = 5  # one in so many groups of the 3-class archive is kept for testing

LEAST_SIDE = 16  # pixels; smaller faces on street photos are not trained on
CUTS = 6  # of each face on a street photo, framed differently

# Where a training picture comes from: its class, and its share of every epoch. Masks that we put on
# are right at least as often as wrong, lest a mask be called wrong for looking put on.
KINDS = {
    "12k masked": ("with_mask", 0.135),
    "3class masked": ("with_mask", 0.035),
    "street masked": ("with_mask", 0.075),
    "drawn right": ("with_mask", 0.095),
    "moved right": ("with_mask", 0.075),
    "12k bare": ("without_mask", 0.12),
    "3class bare": ("without_mask", 0.04),
    "street bare": ("without_mask", 0.065),
    "bare with a neck": ("without_mask", 0.045),
    "bare with an occluder": ("without_mask", 0.07),
    "3class incorrect": ("incorrect_mask", 0.045),
    "street incorrect": ("incorrect_mask", 0.06),
    "drawn nose_out": ("incorrect_mask", 0.045),
    "drawn chin_hang": ("incorrect_mask", 0.025),
    "drawn chin_out": ("incorrect_mask", 0.02),
    "moved nose_out": ("incorrect_mask", 0.03),
    "moved chin_hang": ("incorrect_mask", 0.015),
    "moved chin_out": ("incorrect_mask", 0.005),
}
OCCLUDERS = ("hand", "hand", "hand", "beard", "beard", "beard", "microphone", "cup", "phone",
             "sunglasses", "scarf_neck")
UNDER = ("sunglasses", "beard", "scarf_neck")


def fetch(archives: str | Path, data_dir: str | Path = "data") -> dict[str, Path]:
    """Unpack the archives that lie in a folder; returns where each one's pictures are."""
    return {name: download(str(Path(archives) / file), data_dir)
            for name, file in ARCHIVES.items()}


def scene_faces(scenes: Path, folder: Path) -> Path:
    """Cut the annotated faces out of the scenes, into a folder per class; once.

    The name of a file is <scene>-<number>-<side of the box in pixels>.png, where the side is the
    square root of the box's area.
    """
    if folder.is_dir():
        return folder
    with write_whole(folder) as partial:
        for photo, boxes, names in read_scenes(scenes):
            image = read_image(photo)
            for number, (box, name) in enumerate(zip(boxes, names, strict=True)):
                side = int(np.sqrt(box[2] * box[3]))
                cut = crop_faces(image, box[None], max(side, 8), FACE_MARGIN)[0]
                label = name.replace("mask_weared_incorrect", "incorrect_mask")
                path = partial / label / f"{photo.stem}-{number}-{side}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, cut)
    return folder


def side_of(path: Path) -> int:
    """The side of the box of a face that `scene_faces` has cut, in pixels."""
    return int(path.stem.split("-")[-1])


def split_3class(folder: Path, kept: Path) -> tuple[dict[Path, str], dict[Path, str]]:
    """Training and held-out pictures of the 3-class archive; copies stay on one side.

    The split is made once and written down: were copies grouped otherwise later, pictures that a
    model was trained on would be held out.

    Args:
        kept: folder for held-out.json and the copies that were found, copies.npz.

    Returns:
        Two dicts from path to class.
    """
    labelled = {path: label for path, (_, label) in find_labelled(folder).items()}
    if not (kept / "held-out.json").is_file():
        group = duplicates.group_pictures(list(labelled), kept / "copies.npz")
        folds = StratifiedGroupKFold(n_splits=HELD_OUT, shuffle=True, random_state=0)
        paths = list(labelled)
        _, chosen = next(folds.split(paths, list(labelled.values()), group))
        names = sorted(paths[i].relative_to(folder).as_posix() for i in chosen)
        write_json(kept / "held-out.json", names)
    held_out = {folder / name for name in read_json(kept / "held-out.json")}
    return ({p: label for p, label in labelled.items() if p not in held_out},
            {p: label for p, label in labelled.items() if p in held_out})


def training_paths(raw: dict[str, Path], data_dir: Path) -> tuple[dict[str, list[Path]], dict]:
    """The photographs to train on, by kind, less copies of test pictures and of photos' faces.

    Of street photos they are the faces as `scene_faces` cuts them; see `framings`.

    Returns:
        Paths by kind, and how many copies were left out, by data set.
    """
    cache = data_dir / "copies.npz"
    from_12k = find_labelled(raw["12k"])
    train = {p: label for p, (split, label) in from_12k.items() if split == "train"}
    train_3class, held_out = split_3class(raw["3class"], data_dir)
    cut = {}
    for name, into in (("street", "street-faces"), ("scenes", "scene-faces")):
        found = find_labelled(scene_faces(raw[name], data_dir / into))
        cut[name] = {p: label for p, (_, label) in found.items()}
    tests = [p for p, (split, _) in from_12k.items() if split == "test"]
    tests += list(find_labelled(raw["prajnasb"])) + list(held_out)
    # The scenes' incorrectly worn masks are the 3-class archive's: they are never called unseen.
    tests += [p for p, label in cut["scenes"].items() if label != "incorrect_mask"]
    tests += list(photos.faces_of(cut["street"], "street", "validation", "test"))
    street = {p: label for p, label in photos.faces_of(cut["street"], "street", "train").items()
              if side_of(p) >= LEAST_SIDE}
    by_kind: dict[str, list[Path]] = {}
    left_out = {}
    for name, pictures in (("12k", train), ("3class", train_3class), ("street", street)):
        copied = duplicates.leave_out_copies(list(pictures), tests, cache)
        left_out[name] = int(copied.sum())
        for (path, label), drop in zip(pictures.items(), copied):
            word = {"with_mask": "masked", "without_mask": "bare"}.get(label, "incorrect")
            if not drop:
                by_kind.setdefault(f"{name} {word}", []).append(path)
    return by_kind, left_out


def framings(street: Path, faces: Iterable[Path]) -> Iterator[np.ndarray]:
    """Cut faces out of the street photos anew, CUTS times each, as one cuts them or another.

    From the face alone to the face with half of its width round it, and somewhat off the middle,
    with what the photo shows there.

    Args:
        street: folder of the photos and their annotations.
        faces: as `scene_faces` has cut and named them.

    Yields:
        uint8 RGB (96, 96, 3), CUTS for each of `faces`.
    """
    wanted = {path.stem.rsplit("-", 1)[0] for path in faces}
    for photo, boxes, _ in tqdm(read_scenes(street), desc="street", unit="photo"):
        chosen = [n for n in range(len(boxes)) if f"{photo.stem}-{n}" in wanted]
        if not chosen:
            continue
        image = read_image(photo)
        for number in chosen:
            rng = np.random.default_rng([0, int(photo.stem.removeprefix("street")), number])
            for _ in range(CUTS):
                box = boxes[number] + 0
                box[:2] += rng.uniform(-0.12, 0.12, 2) * box[2:]
                yield crop_faces(image, box[None], IMAGE_SIZE, rng.uniform(-0.05, 0.5))[0]


def dressed(
    bare: Iterable[Path], masked: Iterable[Path], folder: Path
) -> Iterable[tuple[str, np.ndarray]]:
    """Put masks, right and wrong, and other things on bare faces; yields (kind, picture).

    The masks are drawn, or moved from masked faces. Of each bare face come two with a mask worn
    right, two or three with it worn wrong, and some with a neck or with what is not a mask, so
    that the mask is the difference between them.

    Args:
        bare: pictures of bare faces.
        masked: pictures of masked faces.
        folder: where shapes and cut masks are kept.
    """
    shapes = shapes_of(bare, folder / "shapes.npz")
    cuts = list(transplant.make_cuts(masked, folder / "cuts.npz").values())
    for number, path in enumerate(tqdm(sorted(shapes), desc="Drawing masks", unit="face")):
        rng = np.random.default_rng([0, number])
        image = read_image(path)
        scale = 112 / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        shape = masks.move_shape(shapes[path], scale, (scale / 2 - 0.5,) * 2)
        wanted = ["drawn right", "moved right"]
        wanted += [f"{how} {rng.choice(masks.WORN_WRONG, p=[0.4, 0.3, 0.3])}" for how in
                   ("drawn", "moved")]
        third = ["drawn nose_out", "bare with an occluder", "bare with a neck"]
        wanted.append(str(rng.choice(third, p=[0.2, 0.5, 0.3])))
        for kind in wanted:
            base, base_shape = image, shape
            if kind == "bare with a neck" or rng.random() < 0.5:
                base, base_shape = masks.add_neck(image, shape, rng)
            # Under a mask, and as often under one worn right: neither makes a mask wrong.
            if not kind.startswith("bare") and rng.random() < 0.2:
                base = masks.draw_occluder(base, base_shape, str(rng.choice(UNDER)), rng)
            if kind == "bare with an occluder":
                base = masks.draw_occluder(base, base_shape, str(rng.choice(OCCLUDERS)), rng)
            elif kind.startswith("drawn"):
                base = masks.draw_mask(base, base_shape, kind.removeprefix("drawn "), rng)
            elif kind.startswith("moved"):
                cut = cuts[rng.integers(len(cuts))]
                worn = kind.removeprefix("moved ")
                base = transplant.lay_mask(cut, base, base_shape, worn, rng)
            yield kind, resize(_square(base, rng), IMAGE_SIZE)


def _square(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square part of a tall picture with the face in it, or all of it, squeezed."""
    height, width = image.shape[:2]
    if height <= width or rng.random() < 0.4:
        return image
    top = int(rng.integers(0, height - width + 1))
    return image[top : top + width]


def read_collected(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What `collect` has gathered: uint8 RGB (N, 96, 96, 3), on disk, and the kinds (N,)."""
    with open(folder / "kinds.csv", newline="") as file:
        kinds = np.array([row["kind"] for row in csv.DictReader(file)])
    return np.load(folder / "pictures.npy", mmap_mode="r"), kinds


def collect(archives: str | Path, data_dir: str | Path = "data") -> Path:
    """Gather all training pictures into data/release: pictures.npy and kinds.csv; once.

    pictures.npy is uint8 RGB (N, 96, 96, 3); a line of kinds.csv names the kind of each picture.

    Returns:
        The folder.
    """
    folder = Path(data_dir) / "release"
    if (folder / "collected.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    raw = fetch(archives, data_dir)
    by_kind, left_out = training_paths(raw, folder)
    pictures, kinds = [], []
    for kind, paths in by_kind.items():
        found = (list(framings(raw["street"], paths)) if kind.startswith("street")
                 else list(read_all(paths, IMAGE_SIZE, kind)))
        pictures += found
        kinds += [kind] * len(found)
    for kind, image in dressed(by_kind["12k bare"], by_kind["12k masked"], folder):
        pictures.append(image)
        kinds.append(kind)
    with write_whole(folder / "pictures.npy") as partial:
        np.save(partial, np.stack(pictures))
    with write_whole(folder / "kinds.csv") as partial:
        partial.write_text("\n".join(["kind", *kinds]) + "\n")
    street = sum(kind.startswith("street") for kind in kinds) // CUTS
    counts = {"copies_left_out": left_out, "street_faces": street,
              "pictures": dict(sorted(Counter(kinds).items()))}
    write_json(folder / "collected.json", counts)
    return folder
