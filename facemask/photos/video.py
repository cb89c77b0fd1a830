"""Videos and cameras: faces are followed from frame to frame, so that labels do not flicker.

The answer about a video has the fields of one about a picture (see `predict`), with `judged`
"video" and `whole` null, and further `frames` and `frames_per_second`. Each entry of `faces` is a
person followed through the frames: `track` is its number, in the order of appearance;
`probabilities` are the means over the frames it was found in; `box` and `score` are those of
frame `best_frame`, in which it was found most surely; `first_frame` and `last_frame` count from
0; `frames` says in how many it was found.

Sound is not carried over.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facemask.images.boxes import overlaps
from facemask.images.crops import crop_faces
from facemask.io.files import FacemaskError, write_whole
from facemask.io.threads import ahead
from facemask.models.classifier import Classifier
from facemask.photos import finder
from facemask.photos.annotate import annotate
from facemask.photos.predict import MARGIN, verdict

SAME_TRACK = 0.3  # IoU with the last box seen
PATIENCE = 300  # seconds that a camera may be unplugged
LOST = 0.4  # seconds without being found after which a face counts as gone
SURE = 3  # frames a face must be found in before it is shown: false faces rarely last
# Share of a new frame in what is shown; the first frames of a track count alike.
NEW_PROBABILITY, NEW_BOX = 0.15, 0.6


@dataclass
class Track:
    """One face, followed."""

    number: int
    box: np.ndarray  # last found: x, y, width, height, score
    shown: np.ndarray  # smoothed
    smooth: np.ndarray  # smoothed probabilities, shown
    total: np.ndarray  # sum of all probabilities
    best: np.ndarray  # the box with the highest score
    best_frame: int
    first: int
    last: int
    seen: int = 1


class Tracker:
    """Follows faces by the overlap of their boxes, best overlap first.

    Args:
        model: whose probabilities `update` is given.
        frames_per_second: of the video.
    """

    def __init__(self, model: Classifier, frames_per_second: float):
        self.model = model
        self.patience = max(1, round(LOST * frames_per_second))
        self.tracks: list[Track] = []
        self.gone: list[Track] = []

    def update(self, frame: int, boxes: np.ndarray, probabilities: np.ndarray) -> list[dict]:
        """Take in one frame.

        Args:
            frame: its number, from 0, rising.
            boxes: from `finder.find_faces`, (N, 5).
            probabilities: of those faces, (N, len(model.labels)).

        Returns:
            The faces to show, as entries of an answer's `faces`, with `track`.
        """
        overlap = np.array(
            [overlaps(track.box, boxes)[0] for track in self.tracks]
        ).reshape(len(self.tracks), len(boxes))
        new = set(range(len(boxes)))
        while overlap.size and overlap.max() >= SAME_TRACK:
            k, n = np.unravel_index(overlap.argmax(), overlap.shape)
            overlap[k], overlap[:, n] = -1, -1
            new.discard(int(n))
            self._go_on(self.tracks[k], frame, boxes[n], probabilities[n])
        for n in sorted(new):
            number = len(self.tracks) + len(self.gone) + 1
            box, row = boxes[n], probabilities[n]
            self.tracks.append(
                Track(number, box, box[:4], row, row.copy(), box, frame, frame, frame)
            )
        self.gone += [t for t in self.tracks if frame - t.last >= self.patience]
        self.tracks = [t for t in self.tracks if frame - t.last < self.patience]
        return [
            _face(t, t.shown, t.smooth, t.box[4], self.model)
            for t in self.tracks
            if t.seen >= min(SURE, frame + 1)
        ]

    def people(self, frames: int) -> list[dict]:
        """All faces followed so far, of `frames` frames, as the module's text describes them."""
        return [
            {
                **_face(t, t.best[:4], t.total / t.seen, t.best[4], self.model),
                "best_frame": t.best_frame,
                "first_frame": t.first,
                "last_frame": t.last,
                "frames": t.seen,
            }
            for t in sorted(self.gone + self.tracks, key=lambda t: t.number)
            if t.seen >= min(SURE, frames)
        ]

    @staticmethod
    def _go_on(track: Track, frame: int, box: np.ndarray, row: np.ndarray) -> None:
        track.seen += 1
        track.last = frame
        track.box = box
        track.shown = track.shown + NEW_BOX * (box[:4] - track.shown)
        track.total = track.total + row
        weight = max(1 / track.seen, NEW_PROBABILITY)
        track.smooth = track.smooth + weight * (row - track.smooth)
        if box[4] > track.best[4]:
            track.best, track.best_frame = box, frame


def judge_video(
    path: str | Path,
    target: str | Path | None,
    model: Classifier,
    margin: float = MARGIN,
    progress: bool = True,
) -> dict:
    """Follow and judge the faces of a video file.

    Args:
        path: any video that OpenCV's FFmpeg reads; its rotation is respected.
        target: the annotated video to write, `.mp4` (MPEG-4); None for none.
        model: from `classifier.load`.
        margin: see `predict.cut`.
        progress: show a bar.

    Returns:
        The answer; see the module's text. If the file ends before its last frame there is a
        `warning` in it.

    Raises:
        FacemaskError: it cannot be read as a video, or the target cannot be written.
    """
    if not os.path.isfile(path):
        raise FacemaskError(f"{path} does not exist; check the name")
    capture = cv2.VideoCapture(str(path))
    unreadable = FacemaskError(
        f"{path} cannot be read as a video; it may be cut off or damaged, or convert it to .mp4"
    )
    good, frame = capture.read()
    if not good:
        raise unreadable
    rate = _rate(capture)
    expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    size = frame.shape[1], frame.shape[0]
    tracker = Tracker(model, rate)

    def frames() -> Iterator[np.ndarray]:
        image = frame
        while image is not None:
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            image = capture.read()[1]

    def find(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        boxes = finder.find_faces(image, again=False)
        return image, boxes, crop_faces(image, boxes, model.image_size, margin)

    def followed() -> Iterator[tuple[np.ndarray, list[dict]]]:
        for number, (image, boxes, crops) in enumerate(ahead(find, frames())):
            yield image, tracker.update(number, boxes, _probabilities(model, crops))

    with contextlib.ExitStack() as stack:
        stack.callback(capture.release)
        write = None
        if target is not None:
            if Path(target).suffix.lower() != ".mp4":
                raise FacemaskError(f"{target} does not end in .mp4; that is what is written")
            partial = stack.enter_context(write_whole(target))
            write = stack.enter_context(_writer(partial, rate))
        bar = tqdm(
            total=max(expected, 0) or None, desc=Path(path).name, unit="frame",
            disable=not progress,
        )  # fmt: skip
        stack.callback(bar.close)

        def show(item: tuple[np.ndarray, list[dict]]) -> None:
            if write:
                write(annotate(item[0], {"judged": "faces", "faces": item[1]}))

        count = 0
        for _ in ahead(show, followed(), workers=1):
            count += 1
            bar.update()
    answer = {
        "file": str(path),
        "width": size[0],
        "height": size[1],
        "judged": "video",
        "faces": tracker.people(count),
        "whole": None,
        "frames": count,
        "frames_per_second": round(rate, 3),
    }
    if count < 0.98 * expected - 2:  # the count is an estimate for some formats
        answer["warning"] = f"{path}: only {count} of {expected} frames could be read"
    return answer


def watch(
    camera: str, target: str | Path | None, model: Classifier, margin: float = MARGIN
) -> dict:
    """Judge a camera's pictures as they come, until q is pressed, the window is closed or Ctrl-C.

    They are shown in a window if there is no target; else written at the speed at which they came.
    A camera that gives no more pictures, being unplugged, is waited for up to PATIENCE seconds.

    Args:
        camera: a number, 0 for the first, or the address of a network camera.
        target: `.mp4` to write.
        model: from `classifier.load`.
        margin: see `predict.cut`.

    Returns:
        An answer as about a video, its file being "camera <camera>".

    Raises:
        FacemaskError: there is no such camera, or neither window nor target.
    """
    if target is None and not can_show():
        raise FacemaskError(
            "no window can be opened here (opencv-python-headless has none, and a screen is "
            "needed); write to a file with --output camera.mp4, or, on a machine with a screen, "
            "put opencv-python in the place of opencv-python-headless"
        )
    if target is not None and Path(target).suffix.lower() != ".mp4":
        raise FacemaskError(f"{target} does not end in .mp4; that is what is written")
    source = _Camera(camera)
    frame = source.read()
    if frame is None:
        raise FacemaskError(
            f"camera {camera} gives no picture; check that it is plugged in, allowed for this "
            "program and not used by another one"
        )
    shape = frame.shape[1], frame.shape[0]
    rate = _rate(source.capture)
    tracker = Tracker(model, rate)
    title = f"facemask: camera {camera} (q ends)"
    number = written = 0
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(source.release)
        write = None
        if target is not None:
            partial = stack.enter_context(write_whole(target))
            write = stack.enter_context(_writer(partial, rate))
            print(f"recording to {target}; Ctrl-C ends it", file=sys.stderr)
        bar = stack.enter_context(tqdm(desc=f"camera {camera}", unit="frame"))
        with contextlib.suppress(KeyboardInterrupt):  # the usual way to end; what came is kept
            while frame is not None:
                image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                if image.shape[1::-1] != shape:  # another camera at the same place
                    image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
                boxes = finder.find_faces(image, again=False)
                crops = crop_faces(image, boxes, model.image_size, margin)
                shown = tracker.update(number, boxes, _probabilities(model, crops))
                image = annotate(image, {"judged": "faces", "faces": shown})
                number += 1
                bar.update()
                if write:
                    # As often as it takes to play at the speed of life, but no more than a
                    # second's worth: were writing itself too slow, it would never catch up.
                    due = round((time.monotonic() - start) * rate)
                    due = min(max(due, written + 1), written + round(rate))
                    for _ in range(written, due):
                        write(image)
                    written = due
                elif not _show(title, image):
                    break
                frame = source.read()
                if frame is None:
                    frame = source.wait()
    return {
        "file": f"camera {camera}",
        "width": shape[0],
        "height": shape[1],
        "judged": "video",
        "faces": tracker.people(number),
        "whole": None,
        "frames": number,
        "frames_per_second": round(number / max(time.monotonic() - start, 1e-9), 3),
    }


class _Camera:
    """A camera, opened anew when it comes back after being away; see `watch`."""

    def __init__(self, name: str):
        self.name = name
        self.capture = self._open()

    def _open(self) -> cv2.VideoCapture:
        return cv2.VideoCapture(int(self.name) if self.name.isdigit() else self.name)

    def read(self) -> np.ndarray | None:
        """The next frame, uint8 BGR, or None if none comes."""
        good, frame = self.capture.read()
        return frame if good else None

    def wait(self) -> np.ndarray | None:
        """The first frame once the camera is back; None if it stays away."""
        if os.path.isfile(self.name):  # read as a camera, and at its end
            return None
        print(
            f"camera {self.name} gives no more pictures; waiting {PATIENCE} s for it; Ctrl-C ends",
            file=sys.stderr,
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.release()
            time.sleep(0.5)
            self.capture = self._open()
            frame = self.read()
            if frame is not None:
                print(f"camera {self.name} is back", file=sys.stderr)
                return frame
        print(f"camera {self.name} stays away", file=sys.stderr)
        return None

    def release(self) -> None:
        self.capture.release()


def can_show() -> bool:
    """Whether OpenCV can open a window here."""
    # Where a build has windows but no screen is there, trying would end the process.
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen:
        return False
    try:
        cv2.namedWindow("facemask")
        cv2.destroyWindow("facemask")
    except cv2.error:
        return False
    return True


def _show(title: str, image: np.ndarray) -> bool:
    """Show a frame; False once the user wants no more."""
    cv2.imshow(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    key = cv2.waitKey(1) & 0xFF
    return key not in (ord("q"), 27) and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1


@contextlib.contextmanager
def _writer(path: Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that appends uint8 RGB frames, all of one size, to an .mp4 file."""
    video = None
    count = 0

    def write(image: np.ndarray) -> None:
        nonlocal video, count
        if video is None:
            shape = image.shape[1], image.shape[0]
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, shape)
            if not video.isOpened():
                raise OSError(f"a video of {shape[0]} x {shape[1]} pixels cannot be encoded")
        video.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        count += 1

    try:
        yield write
    finally:
        if video is not None:
            video.release()
    # The encoder does not say when the disk is full.
    kept = cv2.VideoCapture(str(path))
    whole = int(kept.get(cv2.CAP_PROP_FRAME_COUNT))
    kept.release()
    if whole < count:
        raise OSError(f"only {whole} of {count} frames are in it")


def _probabilities(model: Classifier, crops: np.ndarray) -> np.ndarray:
    if len(crops) == 0:
        return np.empty((0, len(model.labels)), np.float32)
    return np.asarray(model.predict(crops))


def _rate(capture: cv2.VideoCapture) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 1 <= rate <= 240 else 25.0  # cameras and some files do not say


def _face(
    track: Track, box: np.ndarray, row: np.ndarray, score: float, model: Classifier
) -> dict:
    return {
        "track": track.number,
        "box": [round(float(v), 1) for v in box[:4]],
        **verdict(row, model),
        "score": round(float(score), 4),
    }
