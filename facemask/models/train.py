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
    write_json,
    write_whole,
    writing,
)
from facemask.models.networks import MODELS

PATIENCE = 8  # epochs without a better validation loss before training stops
# Epochs before that counts: in a small set's short ones batch normalisation has yet to settle.
WARM_UP = 10
LATEST, BEST, METADATA = "latest.keras", "best.keras", "training_metadata.json"


def class_weights(labels: list[str], counts: dict[str, int]) -> dict[int, float]:
    """Weights that make every class count the same: total / (classes * pictures of the class)."""
    total = sum(counts.values())
    return {i: total / (len(counts) * counts[label]) for i, label in enumerate(labels)}


def epochs_done(folder: Path) -> int:
    """Epochs in the last backup in a training's folder; cuts history.csv back to them.

    A training goes on at its last backup; so must the pictures and the history.
    """
    history, backup = folder / "history.csv", folder / "backup" / "training_metadata.json"
    done = read_json(backup)["epoch"] if backup.is_file() else 0
    if history.is_file():
        rows = history.read_text().splitlines(keepends=True)
        with write_whole(history) as partial:
            partial.write_text("".join(rows[: done + 1] if done else []))
    return done


def augmented(
    train: tf.data.Dataset, model_name: str, seed: int, start: int = 0
) -> tf.data.Dataset:
    """Repeat batches of (image, class number) for ever, each augmented as the model wants it.

    Args:
        start: leave out so many batches, as a training that goes on has seen them.
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
        FacemaskError: unknown model, the split folder is missing or incomplete, or the disk is
            full or cannot be written.
    """
    if model_name not in MODELS:
        raise FacemaskError(f"unknown model {model_name!r}; choose from {', '.join(MODELS)}")
    facts = read_json(Path(split) / "prepare.json")
    folder = Path(run) / model_name
    settings = {
        "model": model_name, "labels": facts["labels"], "data": facts["settings"],
        "epochs": epochs, "batch_size": batch_size, "seed": seed,
    }
    with one_at_a_time(folder, "trains"), writing(folder):
        return _train(Path(split), folder, facts, settings)


def _train(split: Path, folder: Path, facts: dict, settings: dict) -> keras.Model:
    """Train, go on with a training or load what it gave; see `train`."""
    model_name, epochs, seed = settings["model"], settings["epochs"], settings["seed"]
    batch_size = settings["batch_size"]
    if _made_with(folder, settings) and (folder / "model.keras").is_file():
        return keras.models.load_model(folder / "model.keras")
    work = folder.with_name(f"{folder.name}.unfinished")
    if work.is_dir() and not _made_with(work, settings):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    write_json(work / "settings.json", settings)
    done = epochs_done(work)

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
    backup = _Backup(work / "backup", model)
    model.fit(
        augmented(data, model_name, seed, done * steps).prefetch(2),
        steps_per_epoch=steps,
        validation_data=load_split(split, "validation", batch_size),
        epochs=epochs,
        initial_epoch=done,
        shuffle=False,  # the data set does that itself
        class_weight=class_weights(facts["labels"], facts["counts"]["train"]),
        verbose=0,
        callbacks=[
            TqdmCallback(verbose=0, tqdm_class=tqdm, desc=f"Training {model_name}"),
            keras.callbacks.CSVLogger(work / "history.csv", append=True),
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=PATIENCE, start_from_epoch=WARM_UP
            ),
            backup,
        ],
    )
    model.load_weights(backup.folder / BEST)
    with write_whole(folder) as partial:
        partial.mkdir()
        for name in ("settings.json", "history.csv"):
            shutil.copy(work / name, partial)
        (partial / "labels.txt").write_text("\n".join(facts["labels"]) + "\n")
        model.save(partial / "model.keras")
    shutil.rmtree(work, ignore_errors=True)
    return model


class _Backup(keras.callbacks.Callback):
    """Keeps, whole after every epoch, the training's state and the weights of its best epoch.

    What Keras' ModelCheckpoint and BackupAndRestore do, which write in the place of the file
    before, so that a full disk or a kill leaves half of one.
    """

    def __init__(self, folder: Path, model: keras.Model):
        super().__init__()
        self.folder, self.least = folder, np.inf
        if (folder / METADATA).is_file():
            facts = read_json(folder / METADATA)
            self.least = facts["least"]
            model.optimizer.build(model.trainable_variables)
            model.load_weights(folder / LATEST)
            for seed, value in zip(_seeds(model), facts["seeds"], strict=True):
                seed.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        with write_whole(self.folder) as partial:
            partial.mkdir()
            # Not the weights alone: HDF5, writing a file itself, crashes when the disk is full.
            self.model.save(partial / LATEST)
            better = logs["val_loss"] < self.least
            # The first is the best so far even where its loss is no number.
            if better or not (self.folder / BEST).is_file():
                shutil.copy(partial / LATEST, partial / BEST)
            else:
                shutil.copy(self.folder / BEST, partial / BEST)
            least = float(logs["val_loss"]) if better else self.least
            seeds = [seed.numpy().tolist() for seed in _seeds(self.model)]
            facts = {"epoch": epoch + 1, "least": least, "seeds": seeds}
            write_json(partial / METADATA, facts)
        self.least = least


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """The states of the dropouts' random numbers, which a .keras file does not hold."""
    return [layer.seed_generator.state for layer in model.layers
            if hasattr(layer, "seed_generator")]  # fmt: skip


def _made_with(folder: Path, settings: dict) -> bool:
    path = folder / "settings.json"
    return path.is_file() and read_json(path) == settings


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """The rows of a model folder's history.csv, one per epoch; empty before the first epoch."""
    path = Path(folder) / "history.csv"
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    # An epoch that was cut off between its row and its checkpoint stands twice; the later counts.
    return list({row["epoch"]: row for row in rows}.values())
