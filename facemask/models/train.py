"""Fit a model to a split folder: early stopping, checkpoints, and runs that can be cut off."""

import csv
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from facemask.datasets.prepare import load_split
from facemask.images.augment import AUGMENTATIONS
from facemask.io.files import (
    FacemaskError,
    one_at_a_time,
    read_json,
    remove_whole,
    sweep,
    write_json,
    write_whole,
    writing,
)
from facemask.io.settings import check_numbers
from facemask.models import keras_file
from facemask.models.checkpoint import Checkpoint, go_on, read_arrays, write_arrays
from facemask.models.networks import MODELS

PATIENCE = 8  # epochs without a better validation loss before training stops
# Epochs before that counts: in a small set's short ones batch normalisation has yet to settle.
WARM_UP = 10


def class_weights(labels: list[str], counts: dict[str, int]) -> dict[int, float]:
    """Weights that make every class count the same: total / (classes * pictures of the class)."""
    total = sum(counts.values())
    return {i: total / (len(counts) * counts[label]) for i, label in enumerate(labels)}


def augmented(
    train: tf.data.Dataset, model_name: str, seed: int, start: int = 0
) -> tf.data.Dataset:
    """Repeat batches of (image, class number) for ever, each augmented as the model wants it.

    Args:
        start: batches to pass over, those of the epochs that are done.
    """
    augment = AUGMENTATIONS[model_name]

    def change_batch(number: np.int64, images: np.ndarray) -> np.ndarray:
        pictures = images.astype(np.uint8)
        return np.stack(
            [augment(pictures[i], np.random.default_rng([seed, int(number), i]))
             for i in range(len(pictures))]
        ).astype(np.float32)

    def change(
        number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, classes = batch
        changed = tf.numpy_function(change_batch, [number, images], tf.float32)
        changed.set_shape(images.shape)
        return changed, classes

    # A number per batch, not one generator for all, keeps batches made side by side reproducible.
    batches = tf.data.Dataset.zip(tf.data.Dataset.counter(), train.repeat()).skip(start)
    return batches.map(change, num_parallel_calls=2, deterministic=True)


def train(
    split: str | Path,
    run: str | Path,
    model_name: str,
    epochs: int = 30,
    batch_size: int = 32,
    seed: int = 0,
) -> keras.Model:
    """Train one model and write it to <run>/<model_name>/model.keras.

    Until it is done, it is trained in <run>/<model_name>.unfinished/, and a model that other data
    or settings have given stays. A run that was cut off goes on at the epoch it had reached; a run
    that is complete, with the same data and settings, is loaded and not repeated. `history.csv`
    has a row per epoch.

    Args:
        split: a folder written by `prepare`.
        run: the run's folder, such as models/sample.
        model_name: "baseline" or "compact".
        epochs: at most this many; training stops early when the validation loss does not fall.

    Returns:
        The model with the weights of its best epoch.

    Raises:
        FacemaskError: unknown model, a number that will not do, the split folder is missing or
            incomplete, or the disk is full or cannot be written.
    """
    check_numbers(epochs=epochs, batch_size=batch_size, seed=seed)
    if model_name not in MODELS:
        raise FacemaskError(f"unknown model {model_name!r}; choose from {', '.join(MODELS)}")
    facts = read_json(Path(split) / "prepare.json")
    folder = Path(run) / model_name
    settings = {
        "model": model_name, "labels": facts["labels"], "data": facts["settings"],
        "epochs": epochs, "batch_size": batch_size, "seed": seed,
    }
    sweep(folder.parent)
    with one_at_a_time(folder, "trains"), writing(folder):
        return _train(Path(split), folder, facts, settings)


def _train(split: Path, folder: Path, facts: dict, settings: dict) -> keras.Model:
    """Train, go on with a training or load what it gave; see `train`."""
    model_name, epochs, seed = settings["model"], settings["epochs"], settings["seed"]
    batch_size = settings["batch_size"]
    work = folder.with_name(f"{folder.name}.unfinished")
    done = _made_with(folder, settings) and (folder / "model.keras").is_file()
    if work.is_dir() and (done or not _made_with(work, settings)):
        remove_whole(work)
    if done:
        return keras.models.load_model(folder / "model.keras")
    work.mkdir(parents=True, exist_ok=True)
    write_json(work / "settings.json", settings)

    keras.utils.clear_session()  # layers are named alike, whatever was built before
    keras.utils.set_random_seed(seed)
    model = MODELS[model_name](facts["settings"]["image_size"], len(facts["labels"]))
    data = load_split(split, "train", batch_size, shuffle=True, seed=seed)
    steps = len(data)
    model.compile(
        optimizer=keras.optimizers.Adam(
            learning_rate=keras.optimizers.schedules.CosineDecay(2e-3, epochs * steps)
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    start = go_on(work, model)
    best = _Best(work / "best.npz", read_history(work))
    model.fit(
        augmented(data, model_name, seed, start * steps).prefetch(2),
        steps_per_epoch=steps,
        validation_data=load_split(split, "validation", batch_size),
        initial_epoch=start,
        epochs=start if best.is_over else epochs,
        shuffle=False,  # the data set does that itself
        class_weight=class_weights(facts["labels"], facts["counts"]["train"]),
        verbose=0,
        callbacks=[
            TqdmCallback(verbose=0, tqdm_class=tqdm, desc=f"Training {model_name}"),
            keras.callbacks.CSVLogger(work / "history.csv", append=True),
            best,
            Checkpoint(work),
        ],
    )
    model.set_weights(read_arrays(work / "best.npz")[0])
    with write_whole(folder) as partial:
        partial.mkdir()
        for name in ("settings.json", "history.csv"):
            shutil.copy(work / name, partial)
        (partial / "labels.txt").write_text("\n".join(facts["labels"]) + "\n")
        keras_file.save(model, partial / "model.keras")
    remove_whole(work)
    return model


class _Best(keras.callbacks.Callback):
    """Keeps the weights of the least validation loss; stops after PATIENCE epochs without a better.

    Unlike Keras' own callbacks it goes on with what the epochs before a cut had come to, and
    writes its file whole or not at all.

    Args:
        path: to write the weights to.
        rows: of the epochs that are done.

    Attributes:
        is_over: training is to stop.
    """

    def __init__(self, path: Path, rows: list[dict[str, float]]):
        super().__init__()
        self.path, self.least, self.is_over = path, np.inf, False
        self.least_late, self.wait = np.inf, 0  # since WARM_UP
        for row in rows:
            self._is_best(int(row["epoch"]), row["val_loss"])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # The first is the best so far even where its loss is no number.
        if self._is_best(epoch, (logs or {})["val_loss"]) or not self.path.is_file():
            write_arrays(self.path, self.model.get_weights(), epoch + 1)
        self.model.stop_training = self.is_over

    def _is_best(self, epoch: int, loss: float) -> bool:
        if epoch >= WARM_UP:
            self.wait = 0 if loss < self.least_late else self.wait + 1
            self.least_late = min(self.least_late, loss)
            self.is_over = self.wait >= PATIENCE
        best = loss < self.least
        self.least = min(self.least, loss)
        return best


def _made_with(folder: Path, settings: dict) -> bool:
    path = folder / "settings.json"
    return path.is_file() and read_json(path) == settings


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """The rows of a model folder's history.csv, one per epoch; empty before the first epoch."""
    path = Path(folder) / "history.csv"
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
