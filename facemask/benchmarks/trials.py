"""Trainings that are built to overfit, and healthy ones, to try the verdict on."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import keras
import numpy as np

from facemask.datasets.sample import draw_picture
from facemask.evaluation.verdict import measure, verdict
from facemask.images.augment import augment_lightly
from facemask.models.networks import MODELS

SIZE, TRAIN, TEST = 32, 600, 400  # pixels; drawn faces
# The baseline without its dropout and without augmentation, but for the healthy kind.
KINDS: dict[str, dict[str, Any]] = {
    "tiny data": {"count": 40, "epochs": 30},
    "no dropout, no augmentation": {"count": 200, "epochs": 25},
    "shuffled labels": {"count": 100, "epochs": 40, "shuffled": True},
    "healthy": {"count": TRAIN, "epochs": 8, "healthy": True},
}


def _draw(number: int) -> np.ndarray:
    label = ("with_mask", "without_mask")[number % 2]
    return draw_picture(label, np.random.default_rng([7, number]), SIZE)


def draw_faces() -> tuple[np.ndarray, np.ndarray]:
    """Drawn faces, masked and bare by turns: uint8 (1000, 32, 32, 3) and class numbers."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        images = np.stack(list(workers.map(_draw, range(TRAIN + TEST), chunksize=50)))
    return images, np.arange(len(images)) % 2


def trial(kind: str, seed: int, faces: tuple[np.ndarray, np.ndarray]) -> dict:
    """Train once and give the verdict on it, as `verdict.verdict` does.

    Args:
        kind: one of KINDS.
        seed: of the pictures chosen, the weights and the shuffling.
        faces: what `draw_faces` returned; the last 400 are the test pictures.
    """
    images, classes = faces
    made = KINDS[kind]
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(TRAIN)[: made["count"]]
    train_images, train_classes = images[chosen], classes[chosen]
    if made.get("shuffled"):
        train_classes = rng.permutation(train_classes)
    model = _fit(train_images, train_classes, seed, made["epochs"], made.get("healthy", False))
    sets = {"train": (train_images, train_classes), "test": (images[TRAIN:], classes[TRAIN:])}
    predictions = {name: (model.predict(x.astype(np.float32), batch_size=200, verbose=0), y)
                   for name, (x, y) in sets.items()}
    return verdict(measure(predictions, np.zeros(TEST, bool)))


def _fit(
    images: np.ndarray, classes: np.ndarray, seed: int, epochs: int, healthy: bool
) -> keras.Model:
    keras.utils.clear_session(free_memory=True)  # else each training leaves its graphs behind
    keras.utils.set_random_seed(seed)
    model = MODELS["baseline"](SIZE, 2)
    if healthy:  # all epochs in one go: a call of `fit` costs as much as an epoch
        rng = np.random.default_rng(seed)
        images = np.stack([augment_lightly(x, rng) for _ in range(epochs) for x in images])
        classes, epochs = np.tile(classes, epochs), 1
    else:
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    model.compile(keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy")
    model.fit(images.astype(np.float32), classes, batch_size=32, epochs=epochs, verbose=0)
    return model
