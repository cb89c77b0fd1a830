"""Models, augmentation and training runs, on small drawn data."""

import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from facemask.datasets.prepare import prepare
from facemask.images.augment import AUGMENTATIONS
from facemask.images.reading import read_image
from facemask.io.files import ROOT, FacemaskError
from facemask.models import networks
from facemask.models import train as train_module
from facemask.models.train import class_weights, read_history, train


@pytest.fixture(scope="module")
def split(sample, tmp_path_factory):
    return prepare(sample, "drawn", tmp_path_factory.mktemp("data"), image_size=48)


def test_sizes_of_the_models():
    assert networks.compact(96, 3).count_params() < 150_000
    assert networks.baseline(96, 2).count_params() > 1_000_000


@pytest.mark.parametrize("build", networks.MODELS.values())
def test_models_take_raw_pixels_and_give_probabilities(build):
    model = build(48, 3)
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3)).astype(np.float32)
    out = model.predict(noise, verbose=0)
    assert out.shape == (4, 3) and np.allclose(out.sum(axis=1), 1, atol=1e-5)
    scaled = model.get_layer(index=1)
    assert float(np.max(scaled(np.full((1, 48, 48, 3), 255.0)))) == pytest.approx(1)


@pytest.mark.parametrize("augment", AUGMENTATIONS.values())
def test_augmentation_is_seeded_and_keeps_the_form(augment, sample):
    picture = read_image(next(sample.rglob("*.*")))[:96, :96]
    results = [augment(picture, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])
    for seed in range(200):  # rare branches too
        result = augment(picture, np.random.default_rng(seed))
        assert result.shape == picture.shape and result.dtype == np.uint8
    assert np.array_equal(picture, read_image(next(sample.rglob("*.*")))[:96, :96])


def test_class_weights_balance():
    weights = class_weights(["a", "b"], {"b": 30, "a": 10})
    assert weights == {0: 2.0, 1: pytest.approx(2 / 3)}


def test_same_seed_same_figures(split, tmp_path):
    histories = []
    for run in "ab":
        train(split, tmp_path / run, "compact", epochs=2, batch_size=16, seed=5)
        histories.append(read_history(tmp_path / run / "compact"))
    assert histories[0] == histories[1] and len(histories[0]) == 2


def test_complete_run_is_not_repeated_and_other_settings_are(split, tmp_path):
    train(split, tmp_path, "compact", epochs=1)
    stamp = (tmp_path / "compact/model.keras").stat().st_mtime_ns
    train(split, tmp_path, "compact", epochs=1)
    assert (tmp_path / "compact/model.keras").stat().st_mtime_ns == stamp
    train(split, tmp_path, "compact", epochs=2)
    assert (tmp_path / "compact/model.keras").stat().st_mtime_ns != stamp
    assert len(read_history(tmp_path / "compact")) == 2


def test_killed_run_goes_on(split, tmp_path):
    code = f"""
        from facemask.models.train import train
        train({str(split)!r}, {str(tmp_path)!r}, "compact", epochs=40, batch_size=16)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
    deadline = time.monotonic() + 120
    while len(read_history(tmp_path / "compact.unfinished")) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = read_history(tmp_path / "compact.unfinished")
    assert not (tmp_path / "compact").exists()
    train(split, tmp_path, "compact", epochs=40, batch_size=16)
    after = read_history(tmp_path / "compact")
    assert after[: len(before) - 1] == before[:-1]  # the last one may have been cut and repeated
    assert [row["epoch"] for row in after] == list(range(len(after)))
    assert (tmp_path / "compact/model.keras").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["compact"]


def test_cut_off_training_gives_what_an_undisturbed_one_gives(split, tmp_path, monkeypatch):
    class Cut(train_module._Backup):
        def on_epoch_end(self, epoch, logs):
            super().on_epoch_end(epoch, logs)
            raise KeyboardInterrupt

    whole = train(split, tmp_path / "whole", "compact", epochs=3, batch_size=16)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_module, "_Backup", Cut)
        train(split, tmp_path / "cut", "compact", epochs=3, batch_size=16)
    with open(tmp_path / "cut" / "compact.unfinished" / "history.csv", "a") as file:
        file.write("1,0.3")  # cut off within a row
    cut = train(split, tmp_path / "cut", "compact", epochs=3, batch_size=16)
    texts = [(tmp_path / run / "compact" / "history.csv").read_text() for run in ("whole", "cut")]
    assert texts[0] == texts[1] and len(texts[0].splitlines()) == 4
    for ours, theirs in zip(cut.get_weights(), whole.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_model_before_stays_until_the_next_one_is_done(split, tmp_path):
    """The system refuses what the second training writes: a limit on the size of files."""
    resource = pytest.importorskip("resource")

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "compact").iterdir()}

    train(split, tmp_path, "compact", epochs=1)
    before, limits = contents(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(FacemaskError, match="cannot write .*compact.unfinished.*too large"):
            train(split, tmp_path, "compact", epochs=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents() == before
    train(split, tmp_path, "compact", epochs=2)
    assert len(read_history(tmp_path / "compact")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["compact"]


def test_unknown_model(split, tmp_path):
    with pytest.raises(FacemaskError, match="choose from baseline, compact"):
        train(split, tmp_path, "huge")


def test_missing_split_folder(tmp_path):
    with pytest.raises(FacemaskError, match="prepare.json is missing"):
        train(tmp_path / "none", tmp_path / "run", "compact")
    assert not (tmp_path / "run").exists()
