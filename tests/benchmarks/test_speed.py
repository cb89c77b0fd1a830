"""The bench measures what it says; how fast this machine is, is not tested."""

import json

import keras
import numpy as np
import pytest

from facemask.benchmarks import speed, training
from facemask.exports.timing import one_face
from facemask.models import networks
from facemask.pages import fill


def test_multiply_adds_by_hand():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", strides=2)(inputs)  # 4*4 places, 3*3*3*4 each
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)  # 4*4 places, 3*3*4 each
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(5)(x))  # 64*5
    assert speed.multiply_adds(model) == 16 * 108 + 16 * 36 + 320
    baseline, compact = networks.baseline(96, 2), networks.compact(96, 2)
    assert speed.multiply_adds(baseline) > speed.multiply_adds(compact)


def test_one_face_takes_some_time(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, outputs))
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    assert 0 < one_face(tmp_path / "m.tflite") < 1000


class Tiny:
    """A side of the comparison that learns to tell dark pictures from bright ones."""

    pictures = 64 * training.BATCH

    def model(self):
        inputs = keras.Input((4, 4, 3))
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        outputs = keras.layers.Dense(2, activation="softmax")(x)
        return training._compiled(keras.Model(inputs, outputs), 0.02)

    def batches(self, seed):
        import tensorflow as tf

        rng = np.random.default_rng(seed)
        classes = rng.integers(0, 2, 2048)
        images = rng.uniform(0, 100, (2048, 4, 4, 3)) + 150 * classes[:, None, None, None]
        data = tf.data.Dataset.from_tensor_slices((images.astype("float32"), classes))
        return data.batch(training.BATCH).repeat()

    def test(self):
        return self.batches(99).take(8)


def test_training_stops_at_the_target_and_is_not_repeated(tmp_path):
    state = training.steps_to_target("ours", Tiny(), tmp_path, minutes=5)
    assert state["reached"] and state["accuracy"][-1] >= training.TARGET
    assert all(right < training.TARGET for right in state["accuracy"][:-1])
    assert state["steps"] == 16 * len(state["accuracy"])
    assert training.steps_to_target("ours", Tiny(), tmp_path, minutes=5) == state


def test_training_out_of_time_goes_on_later(tmp_path):
    none = training.steps_to_target("field", Tiny(), tmp_path, minutes=0)
    assert none["steps"] == 0 and not none["reached"]
    assert training.steps_to_target("field", Tiny(), tmp_path, minutes=5)["reached"]


def test_report_prints_every_figure(capsys):
    speed.show({"latency": {"int8": {"bytes": 12, "milliseconds": 0.25}}})
    assert capsys.readouterr().out.splitlines() == [
        "latency / int8 / bytes: 12", "latency / int8 / milliseconds: 0.25",
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["latency", "browser"])
def test_committed_report_meets_the_targets(part):
    report = json.loads((fill.REPORTS / "bench.json").read_text())[part]
    if part == "latency":
        int8 = report["models"]["compact int8"]
        assert int8["bytes"] <= 150_000 and int8["times_faster"] >= 20
    else:
        assert report["wasm"]["faces_per_second"] >= 60
        assert report["wasm"]["changed_answers"] == 0
