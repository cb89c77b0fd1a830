"""Test the released model: on faces from elsewhere, and on what must not change its answer.

`python -m facemask.release.measure ARCHIVES MODEL [MODEL ...]` prints it. Accuracy is argmax over
the classes that a set has.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import recall_score
from tqdm import tqdm

from facemask import CLASSES
from facemask.copies import duplicates
from facemask.datasets.prepare import find_labelled, read_all
from facemask.drawing import masks
from facemask.drawing.landmarks import face_shape
from facemask.images.augment import reencode
from facemask.images.crops import resize
from facemask.images.reading import read_image
from facemask.io.files import write_json
from facemask.metrics.classification import accuracy_with_interval
from facemask.models import classifier
from facemask.photos import predict
from facemask.release.collect import fetch, scene_faces, side_of, split_3class

Labelled = dict[Path, str]


def test_sets(archives: str | Path, data_dir: str | Path) -> dict[str, Labelled]:
    """The sets to measure on, from picture to class; none of them is trained on."""
    raw, folder = fetch(archives, data_dir), Path(data_dir) / "release"
    found = find_labelled(raw["12k"])
    published = {p: label for p, (split, label) in found.items() if split == "test"}
    train = [p for p, (split, _) in found.items() if split == "train"]
    copied = duplicates.leave_out_copies(list(published), train, folder / "copies.npz")
    faces = find_labelled(scene_faces(raw["scenes"], folder / "scene-faces"))

    def scenes(least: int, most: int, classes: tuple[str, ...]) -> Labelled:
        return {p: label for p, (_, label) in faces.items()
                if label in classes and least <= side_of(p) <= most}

    return {
        "12k Test, published": published,
        "12k Test, clean": {p: v for (p, v), c in zip(published.items(), copied) if not c},
        "prajnasb": {p: v for p, (_, v) in find_labelled(raw["prajnasb"]).items()},
        "scene faces, 48 px and more": scenes(48, 10_000, CLASSES[:2]),
        "scene faces, 24 to 47 px": scenes(24, 47, CLASSES[:2]),
        "3-class archive, held-out groups": split_3class(raw["3class"], folder)[1],
        # Not unseen: copies of these are in the 3-class archive.
        "scene faces worn incorrectly, 24 px and more": scenes(24, 10_000, CLASSES[2:]),
    }


def faces_found(pictures: Labelled, size: int) -> np.ndarray:
    """Of each picture the likeliest face, cut as `predict` cuts it: uint8 RGB (N, S, S, 3)."""
    cuts = (predict.cut(read_image(p), size) for p in tqdm(pictures, desc="Finding faces"))
    return np.stack([cut.crops[0] for cut in cuts])


def score(
    model: classifier.Classifier, pictures: Labelled, images: np.ndarray | None = None
) -> dict:
    """Accuracy and macro recall on one set, with 95% intervals, and the wrong answers.

    Args:
        images: the pictures, uint8 RGB (N, S, S, 3), if they have been read already.
    """
    labels = [label for label in model.labels if label in set(pictures.values())]
    columns = [model.labels.index(label) for label in labels]
    if images is None:
        images = read_all(list(pictures), model.image_size)
    probabilities = model.predict(images)[:, columns]
    truth = np.array([labels.index(v) if v in labels else -1 for v in pictures.values()])
    answers = probabilities.argmax(axis=1)
    known = np.unique(truth)

    def macro(t: np.ndarray, a: np.ndarray) -> float:
        return recall_score(t, a, labels=known, average="macro", zero_division=0)

    spread = bootstrap((truth, answers), macro, paired=True, vectorized=False, n_resamples=500,
                       method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return {
        "images": len(truth),
        **accuracy_with_interval(answers == truth),
        "macro_recall": float(macro(truth, answers)),
        "macro_interval": [float(spread.low), float(spread.high)],
        "recall": {label: float(np.mean(answers[truth == k] == k)) for k, label in
                   enumerate(labels)},
        "mistakes": [
            {"file": "/".join(path.parts[-3:]), "label": label, "answer": labels[answer],
             "probability": float(p.max())}
            for (path, label), answer, p, t in
            zip(pictures.items(), answers, probabilities, truth) if answer != t
        ][:60],
    }


def _turn(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    def turn(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return turn


def _shift(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def shift(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = np.array([[1, 0, share * width], [0, 1, share * height]], np.float32)
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return shift


def _smaller(side: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _tint(gains: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: (image * np.array(gains, np.float32)).clip(0, 255).astype(np.uint8)


MUST_NOT_CHANGE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda image: image[:, ::-1],
    "shifted by 5%": _shift(0.05),
    "turned by 20 degrees": _turn(20),
    "turned by -20 degrees": _turn(-20),
    "brightness x 0.6": _tint((0.6, 0.6, 0.6)),
    "brightness x 1.5": _tint((1.5, 1.5, 1.5)),
    "JPEG quality 30": lambda image: reencode(image, 30),
    "48 px": _smaller(48),
    "24 px": _smaller(24),
    "warm cast": _tint((1.2, 1.0, 0.8)),
    "cold cast": _tint((0.8, 1.0, 1.2)),
}
NOT_A_MASK = ("hand", "beard", "scarf_neck", "sunglasses", "microphone", "cup")


def drawings(
    bare: Iterable[np.ndarray], seed: int = 0
) -> Iterator[tuple[str, str, list[np.ndarray]]]:
    """Masks worn in every way, and things that are none, drawn on bare faces.

    Args:
        bare: uint8 RGB pictures; those in which no face's shape is found are passed over.

    Yields:
        For each kind its class, its name (`masks.WORN`, NOT_A_MASK) and a picture of each face.
    """
    shaped = [(image, shape) for image in bare if (shape := face_shape(image)) is not None]
    rng = np.random.default_rng(seed)
    for worn in masks.WORN:
        label = "with_mask" if worn == "right" else "incorrect_mask"
        yield label, worn, [masks.draw_mask(i, s, worn, rng) for i, s in shaped]
    for kind in NOT_A_MASK:
        yield "without_mask", kind, [masks.draw_occluder(i, s, kind, rng) for i, s in shaped]


def behaviour(model: classifier.Classifier, pictures: Labelled, seed: int = 0) -> dict:
    """How often the answer stays where it must stay, and changes where it must change.

    Args:
        pictures: 12k Test.

    Returns:
        `unchanged`: per change of the picture, the share of answers that stay; `drawn`: per way a
        mask is drawn onto a bare face, the share of right answers; `not_a_mask`: per thing drawn
        over a bare face, the share not called with_mask.
    """
    images = [read_image(path) for path in pictures]
    answers = _answers(model, images)
    unchanged = {
        name: float(np.mean(_answers(model, [change(image) for image in images]) == answers))
        for name, change in MUST_NOT_CHANGE.items()
    }
    bare = [image for image, label in zip(images, pictures.values()) if label == "without_mask"]
    drawn, not_a_mask = {}, {}
    for label, name, dressed in drawings(bare, seed):
        got = _answers(model, dressed)
        if label == "without_mask":
            not_a_mask[name] = float(np.mean(got != "with_mask"))
        else:
            drawn[name] = float(np.mean(got == label))
    return {"images": len(images), "drawn_on": len(dressed), "unchanged": unchanged,
            "drawn": drawn, "not_a_mask": not_a_mask}


def _answers(model: classifier.Classifier, images: list[np.ndarray]) -> np.ndarray:
    answers = model.predict(stacked(images, model.image_size)).argmax(axis=1)
    return np.array(model.labels)[answers]


def stacked(images: list[np.ndarray], size: int) -> np.ndarray:
    """Pictures of any size, or views of them, as uint8 RGB (N, size, size, 3)."""
    return np.stack([resize(np.ascontiguousarray(image), size) for image in images])


def measure(sets: dict[str, Labelled], models: dict[str, Path]) -> dict:
    """Every figure of every model, by its name; the first is the released one.

    Args:
        sets: what `test_sets` gives.

    Returns:
        sets: number of pictures in each test set; models: per model and set what `score` gives;
        behaviour: of the first model.
    """
    found_first: dict[int, np.ndarray] = {}
    report: dict = {"sets": {name: len(pictures) for name, pictures in sets.items()}, "models": {}}
    for name, path in models.items():
        model = classifier.load(path)
        # A two-class model has nothing to say of a set whose one class it does not know.
        report["models"][name] = {
            test: score(model, pictures) for test, pictures in sets.items()
            if set(pictures.values()) & set(model.labels)
        }
        # Its people stand off; whoever takes their picture has `predict` find the face first.
        if model.image_size not in found_first:
            found_first[model.image_size] = faces_found(sets["prajnasb"], model.image_size)
        report["models"][name]["prajnasb, face found first"] = score(
            model, sets["prajnasb"], found_first[model.image_size])
    first = classifier.load(next(iter(models.values())))
    report["behaviour"] = behaviour(first, sets["12k Test, published"])
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--json", type=Path, help="write all figures there")
    args = parser.parse_args()
    result = measure(test_sets(args.archives, args.data_dir), {str(p): p for p in args.models})
    if args.json:
        write_json(args.json, result)
    for model_name, figures in result["models"].items():
        print(model_name)
        for test, row in figures.items():
            print(f"  {test:46} {row['images']:5} accuracy {row['accuracy']:.4f}  "
                  f"macro recall {row['macro_recall']:.4f}")
    print(result["behaviour"])
