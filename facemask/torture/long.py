"""Long runs: a folder of 100,000 photos, a video of three hours, a camera that comes and goes.

Each is judged by the command `predict`, in a process of its own, which is watched: its memory, and
whether its progress bar says what it has done. Linux only.
"""

import contextlib
import http.server
import itertools
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from facemask.datasets.sample import draw_scene
from facemask.io.files import ROOT, read_json

PHOTOS, ONE_IN = 100_000, 100  # one in so many photos is broken
KINDS = 200  # different ones among the others
HOURS, FRAMES_PER_SECOND = 3, 4
TIMES = 10  # that the camera is unplugged
LOOK = 0.1  # seconds between two looks at a run
GROWTH = 64  # MB that a run may take more at its end than when a tenth was done
BAR = re.compile(r"(\d+)/(\d+) \[")


def rows(stack: contextlib.ExitStack) -> dict[str, Callable[[], dict]]:
    """All three, at full length."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return {
        "folder": partial(folder_run, folder, PHOTOS),
        "video": partial(video_run, folder, HOURS * 3600 * FRAMES_PER_SECOND),
        "camera": partial(camera_run, folder, TIMES),
    }


class Watched(NamedTuple):
    """What was seen of a run.

    Attributes:
        code: exit status.
        said: its error stream without the bars.
        bars: what its bar showed, in order: done and total.
        memory: MB at each look, with the share done by then.
        seconds: by the clock.
    """

    code: int
    said: list[str]
    bars: list[tuple[int, int]]
    memory: list[tuple[float, float]]
    seconds: float


def watch(arguments: list[str | Path], errors: Path) -> Watched:
    """Run `facemask predict` and look at it again and again.

    Args:
        errors: file for its error stream.
    """
    start, memory = time.monotonic(), []
    with open(errors, "wb") as stream:
        process = _start(arguments, stream)
        with tqdm(desc=errors.stem, total=1.0, bar_format="{l_bar}{bar}| {elapsed}") as bar:
            while process.poll() is None:
                time.sleep(LOOK)
                shown = bars(_tail(errors))
                done = shown[-1][0] / max(1, shown[-1][1]) if shown else 0.0
                if taken := megabytes(process.pid):
                    memory.append((done, taken))
                bar.update(done - bar.n)
    text = errors.read_text(errors="replace")
    said = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not BAR.search(line)]
    return Watched(process.returncode, said, bars(text), memory, time.monotonic() - start)


def _start(arguments: list[str | Path], stream: BinaryIO) -> subprocess.Popen:
    command = [sys.executable, "-m", "facemask", "predict", *map(str, arguments)]

    def hear_ctrl_c() -> None:  # which what a shell has put into the background does not
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stream,
                            preexec_fn=hear_ctrl_c)  # fmt: skip


def bars(text: str) -> list[tuple[int, int]]:
    """Done and total of each bar in a text."""
    return [(int(done), int(total)) for done, total in BAR.findall(text)]


def _tail(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2000))
        return file.read().decode(errors="replace")


def megabytes(process: int) -> float:
    """What a process holds in memory; 0 if it is no more."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s*(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0


def wrong(run: Watched, total: int) -> tuple[list[str], dict]:
    """What was wrong with any long run, and its figures."""
    looks = [look for look in run.memory if look[0] > 0]  # before, it only starts
    tenth = max(0.1, looks[0][0] if looks else 1.0)
    early = max((taken for done, taken in looks if done <= tenth), default=0.0)
    late = max((taken for done, taken in looks if done > tenth), default=early)
    faults = [] if looks else ["it was never looked at while it worked"]
    if late > early + GROWTH:
        faults.append(f"memory grew from {early:.0f} to {late:.0f} MB")
    counts = [done for done, _ in run.bars]
    if counts != sorted(counts) or run.bars[-1:] != [(total, total)]:
        faults.append(f"the progress bar ran from {run.bars[:1]} to {run.bars[-1:]}, of {total}")
    return faults, {
        "MB in the first tenth": round(early), "MB later": round(late),
        "seconds": round(run.seconds),
    }  # fmt: skip


def folder_run(work: Path, photos: int) -> dict:
    """A folder of many small photos, one in ONE_IN of them broken."""
    folder, out = work / "photos", work / "answers.json"
    broken = make_folder(folder, photos)
    run = watch([folder, "--json", out, "--csv", out.with_suffix(".csv")], work / "folder.txt")
    faults, figures = wrong(run, photos)
    faults += wrong_answers(run, out, broken, photos)
    return {"photos": photos, "broken": len(broken), **figures, **_count(faults)}


def make_folder(folder: Path, photos: int) -> set[str]:
    """Fill a folder with links to small drawn photos and with broken ones; names of the latter."""
    originals = folder.with_name("originals")
    originals.mkdir(parents=True)
    for k in range(KINDS):
        scene, _ = draw_scene(np.random.default_rng(k), 1 + k % 2, 96, 72)
        cv2.imwrite(str(originals / f"{k}.jpg"), scene[..., ::-1])
    whole = (originals / "0.jpg").read_bytes()
    spoilt = itertools.cycle([b"", b"no picture", whole[:9], whole[:200], b"\xff" * 5000])
    broken = set()
    for number in range(photos):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % ONE_IN == ONE_IN // 2:
            path.write_bytes(next(spoilt))
            broken.add(str(path))
        else:
            path.hardlink_to(originals / f"{number % KINDS}.jpg")
    return broken


def wrong_answers(run: Watched, out: Path, broken: set[str], photos: int) -> list[str]:
    """What was wrong with a folder's answers, and with what was said of its broken photos."""
    faults = [] if run.code == 1 else [f"exit status {run.code}"]
    answers = read_json(out) if out.is_file() else []
    if [a["file"] for a in answers] != sorted({a["file"] for a in answers}):
        faults.append("the answers are not in order, or some are there twice")
    if len(answers) != photos:
        faults.append(f"{len(answers)} answers of {photos}")
    if {a["file"] for a in answers if "error" in a} != broken:
        faults.append("the answers with an error are not the broken photos")
    named = Counter(name for line in run.said for name in re.findall(r"\S+\.jpg", line))
    if named != Counter(broken):
        faults.append(f"{len(named)} photos named, {sum(named.values())} times")
    return faults


def video_run(work: Path, frames: int) -> dict:
    """A video of so many frames, two people in it."""
    film, out = work / "film.mp4", work / "film.json"
    scene, _ = draw_scene(np.random.default_rng(0), 2, 360, 280)
    writer = cv2.VideoWriter(
        str(film), cv2.VideoWriter_fourcc(*"mp4v"), FRAMES_PER_SECOND, (320, 240)
    )
    for number in range(frames):
        x = abs(number % 80 - 40)
        writer.write(np.ascontiguousarray(scene[x : x + 240, x : x + 320, ::-1]))
    writer.release()
    run = watch([film, "--output", work / "judged.mp4", "--json", out], work / "video.txt")
    faults, figures = wrong(run, frames)
    faults += [] if run.code == 0 else [f"exit status {run.code}"]
    answers = read_json(out) if out.is_file() else [{"frames": 0}]
    written = cv2.VideoCapture(str(work / "judged.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)
    if not answers[0]["frames"] == written == frames:
        faults.append(f"{answers[0]['frames']} frames judged and {written:.0f} written of {frames}")
    hours = round(frames / FRAMES_PER_SECOND / 3600, 2)
    return {"frames": frames, "hours": hours, **figures, **_count(faults)}


def camera_run(work: Path, times: int) -> dict:
    """A network camera that is unplugged again and again, and comes back."""
    errors, out, target = work / "camera.txt", work / "camera.json", work / "camera.mp4"
    faults = []
    with open(errors, "wb") as stream, contextlib.closing(NetworkCamera()) as camera:
        process = _start(["--camera", camera.address, "--output", target, "--json", out], stream)
        for number in range(times + 1):
            wanted = "recording" if number == 0 else "is back"
            if not _said(errors, wanted, max(1, number), process):
                faults.append(f"after being unplugged {number} times: not {wanted}")
                break
            if number < times:
                camera.unplug()
                if not _said(errors, "waiting", number + 1, process):
                    faults.append(f"unplugged {number + 1} times, which is not said")
                    break
                camera.plug_in()
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = -1
    faults += [] if code == 0 else [f"exit status {code}"]
    frames = read_json(out)[0]["frames"] if out.is_file() else 0
    written = cv2.VideoCapture(str(target)).get(cv2.CAP_PROP_FRAME_COUNT)
    if not 0 < frames <= written:
        faults.append(f"{frames} frames judged, {written:.0f} written")
    return {"times unplugged": times, "frames": frames, **_count(faults)}


def _said(errors: Path, words: str, times: int, process: subprocess.Popen) -> bool:
    """Whether a living run says something so many times, waited for."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if errors.read_text(errors="replace").count(words) >= times:
            return True
        time.sleep(0.1)
    return False


class NetworkCamera:
    """A camera with an address, which shows a drawn person, and can be unplugged."""

    def __init__(self) -> None:
        scene, _ = draw_scene(np.random.default_rng(0), 1, 320, 240)
        self.frame = cv2.imencode(".jpg", scene[..., ::-1])[1].tobytes()
        self.port = 0  # any; the same when it comes back
        self.plug_in()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/video.mjpg"

    def plug_in(self) -> None:
        camera, gone = self, threading.Event()

        class Show(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):  # nobody looks any more
                    while not gone.wait(0.1):
                        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "
                                         b"%d\r\n\r\n" % len(camera.frame))
                        self.wfile.write(camera.frame + b"\r\n")

            def log_message(self, *args: object) -> None:
                pass

        self.gone = gone
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Show)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def unplug(self) -> None:
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()

    def close(self) -> None:
        self.unplug()


def _count(faults: list[str]) -> dict[str, int]:
    for fault in faults:
        print(fault, file=sys.stderr)
    return {"failures": len(faults)}
