"""How the released model is trained: its recipe, and the training."""

import hashlib
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from facemask import CLASSES
from facemask.datasets.download import download
from facemask.datasets.prepare import find_labelled, read_all
from facemask.images.augment import augment, augment_mildly, tighten
from facemask.images.crops import resize
from facemask.io.files import FacemaskError, read_json, write_json, write_whole
from facemask.models.checkpoint import Checkpoint, clear_up, go_on
from facemask.models.networks import compact
from facemask.release.collect import ARCHIVES, IMAGE_SIZE, KINDS, collect, read_collected

BATCH_SIZE = 64


def deeper(image_size: int | None, classes: int) -> keras.Model:
    """`compact` with two convolutions instead of one at each of the two smallest resolutions.

    It learns from photographs of more kinds than any notebook's run has.
    """
    return compact(image_size, classes, depth=2)


class Recipe(NamedTuple):
    """Everything that the ablation varies; the defaults are the released model's.

    Attributes:
        leave_out: kinds of training pictures (`collect.KINDS`) to do without.
        change: augmentation of a uint8 RGB (S, S, 3) picture, given a generator and what may lie
            behind the face.
        network: from image size (None, for any, where there are early epochs) and number of
            classes to a model.
        image_size: pixels a side of the model's input.
        smoothing: label smoothing (Szegedy et al. 2016, arXiv 1512.00567).
        average: keep the exponential moving average of the weights (Polyak and Juditsky 1992).
        tight: share of the pictures cut narrower before all else, see `augment.tighten`; those of
            masks worn wrong only so much that it still shows.
        balanced: each kind has its share of an epoch; else its pictures count alike.
        street: how many times its share each kind from street photos has.
        epochs, steps: the schedule; a step is 64 pictures.
        early_epochs, early_size: so many of the epochs are on pictures of so many pixels a side,
            which takes half the time (progressive resizing, as in Tan and Le 2021,
            arXiv 2104.00298).
        rate: the highest learning rate.
    """

    leave_out: tuple[str, ...] = ()
    change: Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray] = augment
    network: Callable[..., keras.Model] = deeper
    image_size: int = IMAGE_SIZE
    smoothing: float = 0.05
    average: bool = True
    tight: float = 0.3
    balanced: bool = True
    street: float = 1.0
    epochs: int = 48
    steps: int = 375
    early_epochs: int = 34
    early_size: int = 64
    rate: float = 3e-3


# The released model's last epochs, after the first recipe's: on pictures more like those that come.
# Few of the masks that were moved off a chin look worn wrong, even to a model trained on them.
FINISH = Recipe(
    leave_out=("moved chin_out",), change=augment_mildly, street=2.0,
    epochs=12, early_epochs=0, rate=1e-3,
)  # fmt: skip


def batches(
    folder: Path, seed: int, recipe: Recipe = Recipe(), start: int = 0
) -> tf.data.Dataset:
    """Endless augmented batches (image float32 (64, S, S, 3), one-hot class float32 (64, 3)).

    Every kind has its share of each batch, whatever its number of pictures.

    Args:
        folder: written by `collect.collect`.
        start: number of the first batch.
    """
    pictures, kinds = read_collected(folder)
    places = {kind: np.flatnonzero(kinds == kind) for kind in KINDS if kind not in recipe.leave_out}
    names = [kind for kind in places if len(places[kind])]
    shares = np.array([KINDS[k][1] if recipe.balanced else len(places[k]) for k in names], float)
    shares *= [recipe.street if kind.startswith("street") else 1 for kind in names]
    shares /= shares.sum()

    def make(number: np.int64) -> tuple[np.ndarray, np.ndarray]:
        # A generator per batch, so that a training can go on at any of them.
        rng = np.random.default_rng([seed, int(number)])
        early = number < recipe.early_epochs * recipe.steps
        size = recipe.early_size if early else recipe.image_size
        chosen = [names[k] for k in rng.choice(len(names), BATCH_SIZE, p=shares)]
        images = []
        for kind in chosen:
            behind = _surroundings(pictures[rng.integers(len(pictures))], rng, size)
            image = pictures[rng.choice(places[kind])]
            if rng.random() < recipe.tight:
                image = tighten(image, rng, 0.85 if KINDS[kind][0] == "incorrect_mask" else 0.6)
            image = resize(image, size)
            images.append(recipe.change(image, rng, behind))
        classes = [CLASSES.index(KINDS[kind][0]) for kind in chosen]
        return np.stack(images).astype(np.float32), np.array(classes, np.int32)

    def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, classes = tf.numpy_function(make, [number], [tf.float32, tf.int32])
        # The network fixes its own size, if it has to.
        images.set_shape((BATCH_SIZE, None, None, 3))
        classes.set_shape((BATCH_SIZE,))
        return images, tf.one_hot(classes, len(CLASSES))

    # One thread keeps up with the network; more, here or in OpenCV, only take its cores.
    cv2.setNumThreads(1)
    return tf.data.Dataset.counter(start).map(load).prefetch(4)


def _surroundings(image: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """A corner of a picture, enlarged: what may lie behind a face, with no other face in it."""
    side = int(rng.integers(12, 36))
    top, left = rng.choice([0, IMAGE_SIZE - side], 2)
    corner = image[top : top + side, left : left + side]
    return cv2.resize(corner, (size, size), interpolation=cv2.INTER_CUBIC)


def validation_pictures(archives: str | Path, data_dir: str | Path = "data") -> dict[Path, str]:
    """The 800 pictures of 12k Validation, from path to class."""
    raw = download(str(Path(archives) / ARCHIVES["12k"]), data_dir)
    return {p: label for p, (split, label) in find_labelled(raw).items() if split == "validation"}


def validation(
    archives: str | Path, data_dir: str | Path = "data", image_size: int = IMAGE_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """12k Validation: uint8 RGB (800, S, S, 3) and one-hot classes (800, 3)."""
    found = validation_pictures(archives, data_dir)
    images = read_all(list(found), image_size)
    return images, np.eye(len(CLASSES))[[CLASSES.index(label) for label in found.values()]]


def fit(
    archives: str | Path,
    model_folder: str | Path,
    data_dir: str | Path = "data",
    recipe: Recipe = Recipe(),
    seed: int = 0,
    start: Path | None = None,
) -> keras.Model:
    """Train by a recipe and write <model_folder>/model.keras; goes on where it was cut off.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with a warm-up of one epoch and a cosine
    schedule. 12k Validation is watched, but decides nothing: the last epoch's weights count.
    `history.csv` has a row per epoch, `training.json` the time and memory it took.

    Args:
        start: model.keras of another training, to go on from its weights.

    Returns:
        The model; a complete one is loaded and not trained again.

    Raises:
        FacemaskError: an archive is missing, or the folder holds a training by another recipe.
    """
    folder = Path(model_folder)
    settings = {k: getattr(v, "__name__", v) for k, v in recipe._asdict().items()}
    shares = {kind: share for kind, (_, share) in KINDS.items()}
    settings |= {"leave_out": list(recipe.leave_out), "shares": shares, "seed": seed}
    settings["start"] = hashlib.sha256(start.read_bytes()).hexdigest()[:16] if start else None
    if (folder / "settings.json").is_file() and read_json(folder / "settings.json") != settings:
        raise FacemaskError(f"{folder} holds a training by another recipe; delete or move it")
    if (folder / "model.keras").is_file():
        return keras.models.load_model(folder / "model.keras", compile=False)
    folder.mkdir(parents=True, exist_ok=True)
    collected = collect(archives, data_dir)
    write_json(folder / "settings.json", settings)
    clock = _Clock(folder / "training.json")
    keras.utils.clear_session(free_memory=True)
    keras.utils.set_random_seed(seed)
    # Sizes that change need a network of no size; the finished one has its own again.
    model = recipe.network(None if recipe.early_epochs else recipe.image_size, len(CLASSES))
    if start:
        model.set_weights(keras.models.load_model(start, compile=False).get_weights())
    steps = recipe.epochs * recipe.steps
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, warmup_target=recipe.rate, warmup_steps=recipe.steps
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            # A memory of a thirtieth of the steps, however many there are.
            rate, weight_decay=1e-3, use_ema=recipe.average, ema_momentum=max(0.0, 1 - 30 / steps)
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.smoothing),
        metrics=["accuracy"],
    )
    done = go_on(folder, model)
    model.fit(
        batches(collected, seed, recipe, start=done * recipe.steps),
        steps_per_epoch=recipe.steps,
        initial_epoch=done,
        epochs=recipe.epochs,
        validation_data=validation(archives, data_dir, recipe.image_size),
        verbose=0,
        callbacks=[
            TqdmCallback(verbose=0, tqdm_class=tqdm, desc=f"Training {folder.name}"),
            keras.callbacks.CSVLogger(folder / "history.csv", append=True),
            clock,
            Checkpoint(folder),
        ],
    )
    finished = recipe.network(recipe.image_size, len(CLASSES))
    finished.set_weights(model.get_weights())
    with write_whole(folder / "labels.txt") as partial:
        partial.write_text("\n".join(CLASSES) + "\n")
    with write_whole(folder / "model.keras") as partial:
        finished.save(partial)
    clear_up(folder)
    return finished


def fit_both(
    archives: str | Path,
    first: Path,
    last: Path,
    data_dir: str | Path,
    recipes: tuple[Recipe, Recipe],
    seed: int,
) -> keras.Model:
    """Train by a recipe in a folder, and in another go on by the next; see `fit`."""
    fit(archives, first, data_dir, recipes[0], seed)
    return fit(archives, last, data_dir, recipes[1], seed + 1, start=first / "model.keras")


class _Clock(keras.callbacks.Callback):
    """Writes the seconds a training took, over cuts, and the most memory it held."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.start = path, time.monotonic()
        self.before = read_json(path)["seconds"] if path.is_file() else 0.0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        write_json(self.path, {
            "epochs": epoch + 1,
            "seconds": round(self.before + time.monotonic() - self.start, 1),
            # kilobytes on Linux, bytes on macOS
            "peak_memory_mb": round(peak / (1e6 if sys.platform == "darwin" else 1e3)),
        })
