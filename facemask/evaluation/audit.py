"""What a data set gives away, and what may be wrong in it: shortcuts and label errors.

Nothing is ever deleted: a picture that should not count is named in an exclusion file
(`prepare.read_exclusions`).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from facemask import CLASSES
from facemask.datasets.prepare import files_of, find_labelled, load_split, read_sources, split_files
from facemask.evaluation.leaks import group_ids, split_copies
from facemask.images.crops import resize
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, read_json, remember
from facemask.metrics.classification import accuracy_with_interval
from facemask.models import classifier
from facemask.models.keras_forms import load_keras

COMMON = 64  # pixels a side at which pictures of any resolution are compared
FOLDS = 5
LISTED = 24  # suspects listed at least
# What a picture tells without a look at the mask. The colours of the whole picture hold some of
# the mask's own colour; the border hardly does.
FAMILIES = {
    "file size": ["bytes"],
    "format": ["jpeg", "png"],
    "resolution": ["width", "height"],
    "sharpness": ["sharpness", "sharpness at 64 px"],
    "colour": [f"{c} {s}" for c in "rgb" for s in ("mean", "spread")],
    "border": [f"border {c} {s}" for c in "rgb" for s in ("mean", "spread")],
}


def picture_features(path: str | Path) -> dict[str, float]:
    """Features of a picture file that are not about the mask, named as in FAMILIES.

    `bytes` is the file's size; width and height are in pixels; sharpness is the logarithm of the
    variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) of the grey picture; colours are
    0..255, spread is the standard deviation; the border is the outer sixteenth on each side.

    Raises:
        FacemaskError: see `read_image`.
    """
    image = read_image(path)
    with Image.open(path) as file:
        kind = file.format
    height, width = image.shape[:2]
    edge_y, edge_x = max(height // 16, 1), max(width // 16, 1)
    inner = np.zeros((height, width), bool)
    inner[edge_y : height - edge_y, edge_x : width - edge_x] = True
    border = image[~inner]
    features = {
        "bytes": Path(path).stat().st_size,
        "jpeg": kind == "JPEG",
        "png": kind == "PNG",
        "width": width,
        "height": height,
        "sharpness": np.log(sharpness(image) + 1e-3),
        "sharpness at 64 px": np.log(sharpness(resize(image, COMMON)) + 1e-3),
    }
    for place, pixels in (("", image.reshape(-1, 3)), ("border ", border)):
        for i, channel in enumerate("rgb"):
            features[f"{place}{channel} mean"] = pixels[:, i].mean()
            features[f"{place}{channel} spread"] = pixels[:, i].std()
    return {name: float(value) for name, value in features.items()}


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of a uint8 RGB (H, W, 3) picture's grey values."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def shortcuts(
    source: str | Path,
    groups: Sequence[int] | np.ndarray | None = None,
    seed: int = 0,
    progress: bool = True,
    split_folder: str | Path | None = None,
) -> dict:
    """How well the class can be told from what is not the mask.

    Gradient-boosted trees (scikit-learn) see the numbers of `picture_features` only: first one
    family of them at a time, then all. Where there is a train and a test split, the figures of
    training on the one and testing on the other are given too, for they stand beside the CNN's;
    cross-validation tells the truth where the publisher's splits differ in format.

    Args:
        source: the publisher's files: a folder per class, as `prepare` takes it. Not a split
            folder, whose pictures have all one size and format.
        groups: (N,) number of the group of copies of each picture, in the order of
            `find_labelled(source)` or of files.csv: cross-validation keeps groups whole. None: no
            copies.
        split_folder: made of `source` by `prepare`: take its pictures and its splits.

    Returns:
        images, unreadable (number), labels; chance: the share of the commonest class;
        cross_validated and, if there is such a split, on_test: per family and for "all"
        the accuracy and its 95% interval; medians: per class the median of each feature.

    Raises:
        FacemaskError: the folder cannot be used, or has too few pictures.
    """
    labelled = find_labelled(source)
    if split_folder is not None:
        labelled = {Path(source) / original: tuple(file.split("/")[:2])
                    for file, original in read_sources(split_folder).items()}
    paths = list(labelled)
    if groups is not None and len(groups) != len(paths):
        raise FacemaskError(f"{len(groups)} group numbers were given for {len(paths)} pictures")
    table, readable = _feature_table(paths, progress)
    split, label = (np.array(column)[readable] for column in zip(*labelled.values(), strict=True))
    group = np.arange(len(paths)) if groups is None else np.asarray(groups)
    group = group[readable]
    least = min(len(set(group[label == c])) for c in set(label))
    if least < FOLDS:
        raise FacemaskError(f"a class has only {least} different pictures; {FOLDS} are the least")
    labels = [c for c in CLASSES if c in label]
    names = [name for family in FAMILIES.values() for name in family]
    families = {**FAMILIES, "all": names}
    dealt = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = list(dealt.split(table, label, group))
    result: dict[str, Any] = {
        "images": len(label),
        "unreadable": len(paths) - len(label),
        "labels": labels,
        "chance": float(max(np.mean(label == c) for c in labels)),
        "cross_validated": {},
        "medians": {
            c: dict(zip(names, np.median(table[label == c], axis=0).tolist(), strict=True))
            for c in labels
        },
    }
    tested = {"train", "test"} <= set(split)
    if tested:
        result["on_test"] = {}
    for family, members in tqdm(families.items(), desc="Shortcuts", disable=not progress):
        values = table[:, [names.index(name) for name in members]]
        trees = HistGradientBoostingClassifier(
            learning_rate=0.2, max_iter=30, random_state=seed)
        # Its threads wait for each other more than they work on as few numbers as these.
        with threadpool_limits(1):
            answers = cross_val_predict(trees, values, label, cv=folds)
            result["cross_validated"][family] = accuracy_with_interval(answers == label)
            if tested:
                train, test = split == "train", split == "test"
                answers = trees.fit(values[train], label[train]).predict(values[test])
                result["on_test"][family] = accuracy_with_interval(answers == label[test])
    return result


def shortcuts_of_run(
    source: str | Path, split_folder: str | Path, run: str | Path, progress: bool = True
) -> dict:
    """`shortcuts` of a split folder's pictures, copies kept together, in <run>/shortcuts.json."""

    def make() -> dict:
        groups = group_ids(split_copies(split_folder, run, progress), read_sources(split_folder))
        return shortcuts(source, groups, progress=progress, split_folder=split_folder)

    settings = read_json(Path(split_folder) / "prepare.json")["settings"]
    return remember(Path(run) / "shortcuts.json", settings, make)


def label_errors_of_run(model: str | Path, split_folder: str | Path, progress: bool = True) -> dict:
    """`label_errors`, copies kept together, under "suspects" in <model>/label_errors.json."""
    model = Path(model)

    def make() -> dict:
        found = split_copies(split_folder, model.parent, progress)
        files = [file for split in ("train", "validation")
                 for file in split_files(split_folder, split)]
        groups = group_ids(found, files)
        return {"suspects": label_errors(model, split_folder, groups=groups, progress=progress)}

    settings = read_json(Path(split_folder) / "prepare.json")["settings"]
    changed = (model / "model.keras").stat().st_mtime_ns
    made_from = {"data": settings, "model": changed, "listed": LISTED}
    return remember(model / "label_errors.json", made_from, make)


def _feature_table(paths: list[Path], progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features float64 (M, F) of the readable ones, and which of the N those are, bool (N,)."""

    def read(path: Path) -> list[float] | None:
        try:
            return list(picture_features(path).values())
        except FacemaskError:
            return None

    with ThreadPoolExecutor(2) as pool:
        jobs = pool.map(read, paths)
        rows = list(tqdm(jobs, desc="Reading pictures", total=len(paths), disable=not progress))
    readable = np.array([row is not None for row in rows])
    return np.array([row for row in rows if row is not None]), readable


def level(image: np.ndarray, size: int, target: float) -> np.ndarray:
    """Bring a picture to a resolution and a sharpness, and back to its own size.

    Args:
        image: uint8 RGB (S, S, 3).
        size: side in pixels that it is shrunk to.
        target: `sharpness` of the shrunk picture after blurring it as much as that takes; what is
            softer already stays as it is.

    Returns:
        uint8 RGB (S, S, 3).
    """
    small = resize(image, size)
    if sharpness(small) > target:
        low, high = 0.2, 8.0  # sigma in pixels; the blur is found by halving the interval
        for _ in range(10):
            sigma = (low + high) / 2
            blurred = cv2.GaussianBlur(small, (0, 0), sigma)
            low, high = (sigma, high) if sharpness(blurred) > target else (low, sigma)
        small = blurred
    return resize(small, image.shape[0])


def levelled(
    model: str | Path, split_folder: str | Path, split: str = "test", size: int = 48,
    progress: bool = True,
) -> dict:
    """A model's accuracy on a split whose pictures all have one resolution and sharpness.

    Every picture is shrunk to `size` and blurred to the sharpness of the softest tenth of the
    split. What accuracy is lost against the untouched pictures was owed to resolution and
    sharpness, or to details that the mask itself has at more than `size` pixels.

    Returns:
        images, size, target (the common sharpness); before and after: accuracy, interval, and
        median sharpness at `size` per class.

    Raises:
        FacemaskError: the model or the split folder cannot be used.
    """
    run = classifier.load(model)
    facts = read_json(Path(split_folder) / "prepare.json")
    if facts["settings"]["image_size"] != run.image_size or facts["labels"] != run.labels:
        raise FacemaskError(
            f"{model} takes {run.image_size} px and knows {', '.join(run.labels)}; {split_folder} "
            "was prepared otherwise, so prepare it again with the model's size"
        )
    batches = load_split(split_folder, split)
    soft = [sharpness(resize(image, size)) for images, _ in batches for image in _uint8(images)]
    target = float(np.quantile(soft, 0.1))
    results = []
    for images, classes in tqdm(batches, desc="Levelling", disable=not progress):
        pictures = _uint8(images)
        even = np.stack([level(image, size, target) for image in pictures])
        after = [sharpness(resize(image, size)) for image in even]
        rows = (run.predict(pictures).argmax(1), run.predict(even).argmax(1), classes, after)
        results.append(rows)
    before, after, true, even = (np.concatenate(column) for column in zip(*results, strict=True))

    def figures(answers: np.ndarray, sharp: np.ndarray) -> dict:
        medians = {c: float(np.median(sharp[true == i])) for i, c in enumerate(run.labels)}
        return {**accuracy_with_interval(answers == true), "sharpness": medians}

    return {
        "images": len(true), "size": size, "target": target,
        "before": figures(before, np.array(soft)), "after": figures(after, even),
    }


def _uint8(images: ArrayLike) -> np.ndarray:
    return np.asarray(images).astype(np.uint8)


def label_errors(
    model: str | Path,
    split_folder: str | Path,
    splits: Sequence[str] = ("train", "validation"),
    groups: Sequence[int] | np.ndarray | None = None,
    seed: int = 0,
    progress: bool = True,
) -> list[dict]:
    """The pictures that are most likely mislabelled, the likeliest first: 24 or, if called, more.

    Confident learning (Northcutt et al., JAIR 2021; by cleanlab) on out-of-fold probabilities. To
    train the CNN once per fold would take hours, so the folds are cut below its last layer: a
    logistic regression on the features that feed that layer is trained on four fifths of the
    pictures and asked about the last fifth. The features themselves were trained with all labels,
    so an error that the CNN has learned by heart can stay hidden.

    Args:
        model: a .keras file or a model's folder.
        splits: whose pictures to look at. Leaving test pictures out because a model doubts them
            flatters that model, so test is not among them unless asked for.
        groups: (N,) group of copies of each picture, in the order of `load_split` over `splits`:
            copies stay in one fold. None: no copies.

    Returns:
        Per suspect: file (in the split folder), source (the publisher's file, as an exclusion
        file names it), label, the other label that suits best, the out-of-fold probability of each
        of the two, and called: whether cleanlab calls the label wrong; those come first.

    Raises:
        FacemaskError: the model or the split folder cannot be used.
    """
    from cleanlab.filter import find_label_issues  # imports pandas, which nothing else here needs
    from cleanlab.rank import get_label_quality_scores

    split_folder, model = Path(split_folder), Path(model)
    labels, sources = read_json(split_folder / "prepare.json")["labels"], read_sources(split_folder)
    features, classes, files = penultimate(model, split_folder, splits, progress)
    group = np.arange(len(files)) if groups is None else np.asarray(groups)
    if len(group) != len(files):
        raise FacemaskError(f"{len(group)} group numbers were given for {len(files)} pictures")
    probabilities = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        features, classes, groups=group, method="predict_proba",
        cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed),
    )
    called = find_label_issues(classes, probabilities, n_jobs=1)
    quality = get_label_quality_scores(classes, probabilities, method="normalized_margin")
    suspects = np.lexsort((quality, ~called))[: max(LISTED, np.sum(called))]
    others = probabilities.copy()
    others[np.arange(len(classes)), classes] = -1
    return [
        {
            "file": files[i],
            "source": sources[files[i]],
            "label": labels[classes[i]],
            "suggested": labels[others[i].argmax()],
            "probability": float(probabilities[i, classes[i]]),
            "probability_suggested": float(others[i].max()),
            "called": bool(called[i]),
        }
        for i in suspects
    ]


def penultimate(
    model: str | Path, split_folder: str | Path, splits: Sequence[str], progress: bool = True
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What feeds a model's last layer: float32 (N, F), class numbers (N,) and files."""
    whole = load_keras(model)
    body = keras.Model(whole.input, whole.layers[-1].input)
    features, classes, files = [], [], []
    for split in splits:
        batches = load_split(split_folder, split)
        files += files_of(batches, split_folder)
        for images, numbers in tqdm(batches, desc=f"Features of {split}", disable=not progress):
            features.append(np.asarray(body(images, training=False)))
            classes.append(np.asarray(numbers))
    return np.concatenate(features), np.concatenate(classes), files
