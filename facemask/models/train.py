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
from facemask.io.files import FacemaskError, one_at_a_time, read_json, write_json, write_whole
from facemask.io.settings import check_numbers
from facemask.models.networks import MODELS

PATIENCE = 8  # epochs without a better validation loss before training stops
# Epochs before that counts: in a small set's short ones batch normalisation has yet to settle.
WARM_UP = 10


def class_weights(labels: list[str], counts: dict[str, int]) -> dict[int, float]:
    """Weights that make every class count the same: total / (classes * pictures of the class)."""
    total = sum(counts.values())
    return {i: total / (len(counts) * counts[label]) for i, label in enumerate(labels)}


def epochs_done(folder: Path) -> int:
    """Epochs in Keras' last backup in a training's folder; cuts history.csv back to them.

    Keras goes on at its last backup; so must the pictures and the history.
    """
    history, backup = folder / "history.csv", folder / "backup" / "training_metadata.json"
    done = read_json(backup)["epoch"] if backup.is_file() else 0
    if history.is_file():
        rows = history.read_text().splitlines(keepends=True)
        with write_whole(history) as partial:
            partial.write_text("".join(rows[: done + 1] if done else []))
    return done


def augmented(train: tf.data.Dataset, model_name: str, seed: int) -> tf.data.Dataset:
    """Repeat batches of (image, class number) for ever, each augmented as the model wants it."""
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
    batches = tf.data.Dataset.zip(tf.data.Dataset.counter(), train.repeat())
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

    A run that was cut off goes on at the epoch it had reached; a run that is complete, with the
    same data and settings, is loaded and not repeated. `history.csv` has a row per epoch.

    Args:
        split: a folder written by `prepare`.
        run: the run's folder, such as models/sample.
        model_name: "baseline" or "compact".
        epochs: at most this many; training stops early when the validation loss does not fall.

    Returns:
        The model with the weights of its best epoch.

    Raises:
        FacemaskError: unknown model, a number that will not do, or the split folder is missing
            or incomplete.
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
    with one_at_a_time(folder, "trains"):
        return _train(Path(split), folder, facts, settings)


def _train(split: Path, folder: Path, facts: dict, settings: dict) -> keras.Model:
    """Train, go on with a training or load what it gave; see `train`."""
    model_name, epochs, seed = settings["model"], settings["epochs"], settings["seed"]
    batch_size = settings["batch_size"]
    if (folder / "settings.json").is_file() and read_json(folder / "settings.json") != settings:
        shutil.rmtree(folder)  # made from other data or with other settings
    if (folder / "model.keras").is_file():
        return keras.models.load_model(folder / "model.keras")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", settings)

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
    losses = [float(row["val_loss"]) for row in read_history(folder)]
    model.fit(
        augmented(data, model_name, seed).prefetch(2),
        steps_per_epoch=steps,
        validation_data=load_split(split, "validation", batch_size),
        epochs=epochs,
        shuffle=False,  # the data set does that itself
        class_weight=class_weights(facts["labels"], facts["counts"]["train"]),
        verbose=0,
        callbacks=[
            TqdmCallback(verbose=0, tqdm_class=tqdm, desc=f"Training {model_name}"),
            keras.callbacks.CSVLogger(folder / "history.csv", append=True),
            keras.callbacks.ModelCheckpoint(
                folder / "best.weights.h5",
                monitor="val_loss",
                save_best_only=True,
                save_weights_only=True,
                # After a cut, what was best before it still has to be beaten.
                initial_value_threshold=min(losses, default=None),
            ),
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=PATIENCE, start_from_epoch=WARM_UP
            ),
            keras.callbacks.BackupAndRestore(folder / "backup", double_checkpoint=True),
        ],
    )
    model.load_weights(folder / "best.weights.h5")
    with write_whole(folder / "labels.txt") as partial:
        partial.write_text("\n".join(facts["labels"]) + "\n")
    with write_whole(folder / "model.keras") as partial:  # last: it says that the rest is there
        model.save(partial)
    (folder / "best.weights.h5").unlink()
    return model


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """The rows of a model folder's history.csv, one per epoch; empty before the first epoch."""
    path = Path(folder) / "history.csv"
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    # An epoch that was cut off between its row and its checkpoint stands twice; the later counts.
    return list({row["epoch"]: row for row in rows}.values())
