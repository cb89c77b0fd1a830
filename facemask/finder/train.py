"""Train the finder: a schedule, batches, checkpoints, a look at the validation photos.

`train` writes finder.keras, history.csv and clock.json into a folder, and the same of each course
into a folder of its own. What was cut off goes on where it was. `publish` does all of it, from the
archives to models/finder.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
import tensorflow as tf
from tqdm.keras import TqdmCallback

from facemask.finder import scenes, teachers
from facemask.finder.collect import collect, read
from facemask.finder.network import flat, network
from facemask.finder.targets import Loss, targets
from facemask.images.boxes import match, size
from facemask.io.files import FacemaskError, read_json, write_json, write_whole
from facemask.metrics.detection import BANDS
from facemask.models import keras_file
from facemask.models.checkpoint import Checkpoint, clear_up, go_on
from facemask.photos.finder import canvas, decode, suppress

WARM_UP = 200  # steps
WIDTH = 24  # of the released network


class Course(NamedTuple):
    """Epochs from warming up until the learning rate is 0 again, and the highest rate."""

    epochs: int
    rate: float


class Schedule(NamedTuple):
    """How the finder is trained.

    Attributes:
        courses: one after the other, each from the averaged weights of the one before (warm
            restarts, Loshchilov and Hutter 2016, arXiv 1608.03983).
        steps: of an epoch; a step is a batch, of pictures of one of `sizes`.
        sizes: side in pixels -> pictures a batch and share of the batches; all take alike long.
        watch: epochs between looks at the validation photos.
    """

    courses: tuple[Course, ...] = (Course(48, 4e-3), Course(40, 3e-3))
    steps: int = 150
    sizes: tuple[tuple[int, int, float], ...] = (
        (320, 24, 0.6), (448, 12, 0.22), (640, 6, 0.18),
    )  # fmt: skip
    watch: int = 5

    @property
    def epochs(self) -> int:
        """Of all courses."""
        return sum(course.epochs for course in self.courses)


RELEASED = Schedule()


@keras.saving.register_keras_serializable("facemask")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """Up for WARM_UP steps, then even, then down to 0 over the last third by 1 - root.

    Unlike a cosine, what comes before the fall is the same however long the training is
    (Haegele et al. 2024, arXiv 2405.18392).
    """

    def __init__(self, highest: float, steps: int):
        self.highest, self.steps = highest, steps

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        step = keras.ops.cast(step, "float32")
        fall = self.steps * 2 / 3
        left = 1 - keras.ops.sqrt(keras.ops.clip((step - fall) / (self.steps - fall), 0.0, 1.0))
        return self.highest * keras.ops.minimum((step + 1) / WARM_UP, 1.0) * left

    def get_config(self) -> dict:
        return {"highest": self.highest, "steps": self.steps}


def batches(
    stock: scenes.Store, seed: int, schedule: Schedule, start: int = 0
) -> tf.data.Dataset:
    """Endless batches: pictures float32 (B, S, S, 3), 0..255, and targets (B, cells, 6 + 15).

    Args:
        start: number of the first batch; each has a generator of its own.
    """

    teach = teachers.yunet_maps(teachers.yunet_file())

    def make(number: np.int64) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, int(number)])
        side, count, _ = schedule.sizes[rng.choice(len(schedule.sizes),
                                                   p=[s[2] for s in schedule.sizes])]
        images, wanted = [], []
        for _ in range(count):
            sample = scenes.make(stock, rng, side, side)
            images.append(sample.image)
            wanted.append(targets(side, side, sample.faces, sample.unsure))
        shown = np.stack(images)
        return shown, np.concatenate([np.stack(wanted), teach(shown)], axis=2)

    def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, wanted = tf.numpy_function(make, [number], [tf.uint8, tf.float32])
        images.set_shape((None, None, None, 3))
        wanted.set_shape((None, None, 21))
        return tf.cast(images, tf.float32), wanted

    cv2.setNumThreads(1)
    return tf.data.Dataset.counter(start).map(load).prefetch(4)


def settings_of(schedule: Schedule, width: int) -> dict:
    """What a training depends on beside its seed, as JSON has it."""
    return {
        **schedule._asdict(), "width": width, "kinds": scenes.KINDS,
        "courses": [course._asdict() for course in schedule.courses],
        "sizes": [list(size) for size in schedule.sizes],
    }  # fmt: skip


def train(
    archives: str | Path,
    folder: str | Path,
    data_dir: str | Path = "data",
    schedule: Schedule = RELEASED,
    seed: int = 0,
    width: int = WIDTH,
) -> keras.Model:
    """Train by a schedule; goes on where it was cut off. See the module's text.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), see `Rate`, with an exponential
    moving average of the weights. The validation photos are watched, but decide
    nothing here: the last epoch's weights count.

    Raises:
        FacemaskError: an archive is missing, or the folder holds another training.
    """
    folder = Path(folder)
    settings = settings_of(schedule, width) | {"seed": seed}
    if (folder / "settings.json").is_file() and read_json(folder / "settings.json") != settings:
        raise FacemaskError(f"{folder} holds a training by another recipe; delete or move it")
    if (folder / "finder.keras").is_file():
        return keras.models.load_model(folder / "finder.keras", compile=False)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = read(collect(archives, data_dir))
    write_json(folder / "settings.json", settings)
    keras.utils.set_random_seed(seed)
    model, before = network(width), 0
    for number, course in enumerate(schedule.courses, 1):
        part = folder / f"course-{number}"
        model = _follow(course, model, pictures, part, schedule, seed, before)
        before += course.epochs
    _join(folder, len(schedule.courses))
    keras_file.save(model, folder / "finder.keras")
    return model


def _follow(
    course: Course, model: keras.Model, pictures: list, folder: Path, schedule: Schedule,
    seed: int, before: int,
) -> keras.Model:
    """One course, from the model as it is; `before`: epochs of the courses before."""
    if (folder / "finder.keras").is_file():
        return keras.models.load_model(folder / "finder.keras", compile=False)
    folder.mkdir(parents=True, exist_ok=True)
    learner = flat(model)
    learner.compile(
        optimizer=keras.optimizers.AdamW(
            Rate(course.rate, course.epochs * schedule.steps), weight_decay=5e-3, clipnorm=10.0,
            use_ema=True, ema_momentum=0.995,
        ),
        loss=Loss(),
    )  # fmt: skip
    done = go_on(folder, learner)
    start = (before + done) * schedule.steps
    photos = [row for row in pictures if row[1].part == "validation"]
    learner.fit(
        batches(scenes.store(pictures), seed, schedule, start),
        steps_per_epoch=schedule.steps,
        initial_epoch=done,
        epochs=course.epochs,
        verbose=0,
        callbacks=[
            TqdmCallback(verbose=0, desc=f"Training the finder, {folder.name}"),
            keras.callbacks.CSVLogger(folder / "history.csv", append=True),
            _Watch(model, photos, schedule.watch, folder),
            Checkpoint(folder),
        ],
    )
    keras_file.save(model, folder / "finder.keras")
    clear_up(folder)
    return model


def _join(folder: Path, courses: int) -> None:
    """The history and the seconds of all courses as one."""
    rows, seconds = ["epoch,loss"], 0.0
    for number in range(1, courses + 1):
        part = folder / f"course-{number}"
        with open(part / "history.csv", newline="") as file:
            rows += [f"{len(rows) - 1 + k},{row['loss']}"
                     for k, row in enumerate(csv.DictReader(file))]  # fmt: skip
        seconds += read_json(part / "clock.json")["seconds"]
    with write_whole(folder / "history.csv") as partial:
        partial.write_text("\n".join(rows) + "\n")
    write_json(folder / "clock.json", {"epochs": len(rows) - 1, "seconds": round(seconds, 1)})


def recall(find: Callable[[np.ndarray], np.ndarray], photos: list, thresholds: list) -> list[dict]:
    """Recall of annotated faces by size, and false faces a photo, at several thresholds.

    Args:
        find: from a uint8 RGB photo to boxes (N, 5), down to the lowest of the thresholds.
        photos: (picture, labels) rows from `collect.read`.

    Returns:
        For each threshold: recall per archive and size, such as "street 32 to 63 px"; `false`,
        boxes a photo that match nothing annotated and nothing that a teacher has seen.
    """
    found = [find(np.ascontiguousarray(image)) for image, _ in photos]
    rows = []
    for threshold in thresholds:
        hits: dict[str, list] = {}
        false = 0
        for (_, labels), boxes in zip(photos, found, strict=True):
            boxes = boxes[boxes[:, 4] >= threshold]
            truth = labels.faces[: labels.annotated]
            pairs = match(boxes, truth, 0.3)
            sides = size(truth)
            for name, (low, high) in BANDS.items():
                inside = (sides >= low) & (sides < high)
                key = f"{labels.name.split('/')[0]} {name}"
                hits.setdefault(key, []).extend((pairs[inside] >= 0).tolist())
            rest = np.delete(boxes, pairs[pairs >= 0], axis=0)
            every = np.concatenate([labels.faces, labels.unsure])
            false += len(rest) - int((match(rest, every, 0.3) >= 0).sum())
        row = {"threshold": threshold, "false": round(false / len(photos), 3)}
        rows.append(row | {k: round(float(np.mean(v)), 4) for k, v in hits.items()})
    return rows


def in_keras(model: keras.Model, threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """`Finder` for a Keras model, down to a score."""
    run = tf.function(model, reduce_retracing=True)

    def find(image: np.ndarray) -> np.ndarray:
        shown, scales = canvas(image)
        maps = run(tf.constant(shown[None], tf.float32))
        boxes = suppress(decode([m.numpy() for m in maps.values()], threshold))
        return boxes / (*scales, *scales, 1)

    return find


class _Watch(keras.callbacks.Callback):
    """Counts the seconds over cuts; looks at validation photos with the averaged weights."""

    def __init__(self, model: keras.Model, photos: list, every: int, folder: Path):
        super().__init__()
        self.finder, self.photos, self.every, self.folder = model, photos, every, folder
        clock = folder / "clock.json"
        self.before = read_json(clock)["seconds"] if clock.is_file() else 0.0
        self.start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        done = epoch + 1
        seconds = round(self.before + time.monotonic() - self.start, 1)
        write_json(self.folder / "clock.json", {"epochs": done, "seconds": seconds})
        print(f"epoch {done}, {seconds:.0f} s, loss {(logs or {})['loss']:.4f}", flush=True)
        if done % self.every == 0:
            averaged = keras.models.clone_model(self.finder)
            own = {id(v): v for v in self.model.optimizer._trainable_variables}
            average = dict(zip(own, self.model.optimizer._model_variables_moving_average))
            for new, old in zip(averaged.variables, self.finder.variables, strict=True):
                new.assign(average.get(id(old), old))
            averaged.save(self.folder / "latest.keras")
            for row in recall(in_keras(averaged, 0.15), self.photos, [0.25, 0.35, 0.45, 0.55]):
                print(row, flush=True)
