"""How the released model is trained: its recipe, and the training."""

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
from facemask.augment import augment, impoverish
from facemask.download import download
from facemask.files import FacemaskError, read_json, write_json, write_whole
from facemask.models import compact
from facemask.prepare import find_labelled, read_all, resize
from facemask.release import ARCHIVES, IMAGE_SIZE, KINDS, POOR, collect, read_collected

BATCH_SIZE = 64


class Recipe(NamedTuple):
    """Everything that the ablation varies; the defaults are the released model's.

    Attributes:
        leave_out: kinds of training pictures (`release.KINDS`) to do without.
        change: augmentation of a uint8 RGB (S, S, 3) picture, given a generator and what may lie
            behind the face.
        network: from image size and number of classes to a model.
        image_size: pixels a side of the model's input.
        smoothing: label smoothing (Szegedy et al. 2016, arXiv 1512.00567).
        average: keep the exponential moving average of the weights (Polyak and Juditsky 1992).
        balanced: each kind has its share of an epoch; else its pictures count alike.
        level: kinds of good photographs are made as small and dark as others (`release.POOR`) are.
        epochs, steps: the schedule; a step is 64 pictures.
    """

    leave_out: tuple[str, ...] = ()
    change: Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray] = augment
    network: Callable[[int, int], keras.Model] = compact
    image_size: int = IMAGE_SIZE
    smoothing: float = 0.05
    average: bool = True
    balanced: bool = True
    level: bool = True
    epochs: int = 40
    steps: int = 375


def batches(folder: Path, seed: int, recipe: Recipe = Recipe()) -> tf.data.Dataset:
    """Endless augmented batches (image float32 (64, S, S, 3), one-hot class float32 (64, 3)).

    Every kind has its share of each batch, whatever its number of pictures.

    Args:
        folder: written by `release.collect`.
    """
    pictures, kinds = read_collected(folder)
    places = {kind: np.flatnonzero(kinds == kind) for kind in KINDS if kind not in recipe.leave_out}
    names = [kind for kind in places if len(places[kind])]
    shares = np.array([KINDS[k][1] if recipe.balanced else len(places[k]) for k in names], float)
    shares /= shares.sum()

    def make(number: np.int64) -> tuple[np.ndarray, np.ndarray]:
        # A generator per batch keeps batches that are made side by side reproducible.
        rng = np.random.default_rng([seed, number])
        chosen = [names[k] for k in rng.choice(len(names), BATCH_SIZE, p=shares)]
        images = []
        for kind in chosen:
            behind = _surroundings(pictures[rng.integers(len(pictures))], rng, recipe.image_size)
            image = resize(pictures[rng.choice(places[kind])], recipe.image_size)
            if recipe.level and kind not in POOR:
                image = impoverish(image, rng)
            images.append(recipe.change(image, rng, behind))
        classes = [CLASSES.index(KINDS[kind][0]) for kind in chosen]
        return np.stack(images).astype(np.float32), np.int32(classes)

    def load(number: tf.Tensor):
        images, classes = tf.numpy_function(make, [number], [tf.float32, tf.int32])
        images.set_shape((BATCH_SIZE, recipe.image_size, recipe.image_size, 3))
        classes.set_shape((BATCH_SIZE,))
        return images, tf.one_hot(classes, len(CLASSES))

    data = tf.data.Dataset.counter().map(load, num_parallel_calls=2, deterministic=True)
    return data.prefetch(4)


def _surroundings(image: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """A corner of a picture, enlarged: what may lie behind a face, with no other face in it."""
    side = int(rng.integers(12, 36))
    top, left = rng.choice([0, IMAGE_SIZE - side], 2)
    corner = image[top : top + side, left : left + side]
    return cv2.resize(corner, (size, size), interpolation=cv2.INTER_CUBIC)


def validation(
    archives: str | Path, data_dir: str | Path = "data", image_size: int = IMAGE_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """12k Validation: uint8 RGB (800, S, S, 3) and one-hot classes (800, 3)."""
    raw = download(str(Path(archives) / ARCHIVES["12k"]), data_dir)
    found = {p: label for p, (split, label) in find_labelled(raw).items() if split == "validation"}
    images = read_all(list(found), image_size)
    return images, np.eye(len(CLASSES))[[CLASSES.index(label) for label in found.values()]]


def fit(
    archives: str | Path,
    model_folder: str | Path,
    data_dir: str | Path = "data",
    recipe: Recipe = Recipe(),
    seed: int = 0,
) -> keras.Model:
    """Train by a recipe and write <model_folder>/model.keras; goes on where it was cut off.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with a warm-up of one epoch and a cosine
    schedule. 12k Validation is watched, but decides nothing: the last epoch's weights count.
    `history.csv` has a row per epoch, `training.json` the time and memory it took.

    Returns:
        The model; a complete one is loaded and not trained again.

    Raises:
        FacemaskError: an archive is missing, or the folder holds a training by another recipe.
    """
    folder = Path(model_folder)
    settings = {k: getattr(v, "__name__", v) for k, v in recipe._asdict().items()}
    settings |= {"leave_out": list(recipe.leave_out), "seed": seed}
    if (folder / "settings.json").is_file() and read_json(folder / "settings.json") != settings:
        raise FacemaskError(f"{folder} holds a training by another recipe; name another folder")
    if (folder / "model.keras").is_file():
        return keras.models.load_model(folder / "model.keras", compile=False)
    folder.mkdir(parents=True, exist_ok=True)
    collected = collect(archives, data_dir, seed=0)
    write_json(folder / "settings.json", settings)
    clock = _Clock(folder / "training.json")
    keras.utils.clear_session(free_memory=True)
    keras.utils.set_random_seed(seed)
    model = recipe.network(recipe.image_size, len(CLASSES))
    steps = recipe.epochs * recipe.steps
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, warmup_target=3e-3, warmup_steps=recipe.steps
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            # A memory of a thirtieth of the steps, however many there are.
            rate, weight_decay=1e-3, use_ema=recipe.average, ema_momentum=max(0.0, 1 - 30 / steps)
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.smoothing),
        metrics=["accuracy"],
    )
    model.fit(
        batches(collected, seed, recipe),
        steps_per_epoch=recipe.steps,
        epochs=recipe.epochs,
        validation_data=validation(archives, data_dir, recipe.image_size),
        verbose=0,
        callbacks=[
            TqdmCallback(verbose=0, tqdm_class=tqdm, desc=f"Training {folder.name}"),
            keras.callbacks.CSVLogger(folder / "history.csv", append=True),
            keras.callbacks.BackupAndRestore(folder / "backup", double_checkpoint=True),
            clock,
        ],
    )
    with write_whole(folder / "labels.txt") as partial:
        partial.write_text("\n".join(CLASSES) + "\n")
    with write_whole(folder / "model.keras") as partial:
        model.save(partial)
    return model


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
