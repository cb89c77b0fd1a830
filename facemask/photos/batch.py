"""Judge many photos, videos or a camera: what the command `predict` does.

Photos are read and searched for faces in threads while the model judges those before and others
are written, a few at a time, so that a folder of any length needs no more memory than a short
one. With `--json`, `--csv` or an output folder the answers go through a journal (see `journal`):
the same command, given again after it was cut off, goes on where it stopped.
"""

import argparse
import contextlib
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from facemask.images.reading import IMAGE_SUFFIXES
from facemask.images.writing import write_by_pillow
from facemask.io.files import FINDER, RELEASE, FacemaskError, printable, sweep, write_whole
from facemask.io.threads import ahead
from facemask.models.classifier import Classifier, load, model_file
from facemask.photos import finder, stages, video
from facemask.photos.annotate import annotate
from facemask.photos.figure import draw, save, thumbnail
from facemask.photos.journal import Journal, read_journal, write_answers_csv, write_answers_json
from facemask.photos.predict import MARGIN, summarise
from facemask.photos.sources import (
    DRAWN_SUFFIXES,
    VIDEO_SUFFIXES,
    Source,
    expand,
    is_video,
    place,
    read,
    same_file,
)

GRID = 64  # pictures that are still shown in one; more go to a folder
DEFAULT = "prediction.png"
TOLD = 6  # faces of a picture whose answers are printed one by one; of more, how many of each
GRID_SUFFIXES = DRAWN_SUFFIXES - {".bmp"}  # that Matplotlib writes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `predict`."""
    parser.add_argument(
        "pictures", nargs="*",
        help="pictures, videos, folders (the pictures in them), patterns such as 'photos/*.jpg'; "
        "- reads standard input: one picture, or a list of names, one a line",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=Path, default=RELEASE, help="default: models/release, the released model"
    )
    parser.add_argument(
        "--output", type=Path,
        help="annotated picture, video (.mp4) or a folder for many, where answers.json is also "
        "written (default: prediction.png or .mp4, unless --json or --csv is given)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write all answers as JSON")
    parser.add_argument("--csv", type=Path, help="write all answers as CSV, a row per face")
    parser.add_argument(
        "--camera", help="number or address of a camera; 0 is the first. Shown in a window, or "
        "written to --output",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Do what `add_arguments` describes.

    Returns:
        0 if all was judged, 1 if some pictures could not be read, 130 if stopped by Ctrl-C.

    Raises:
        FacemaskError: nothing could be judged, or the arguments do not go together.
    """
    if args.camera is not None:
        if args.pictures:
            raise FacemaskError("give either pictures or --camera, not both")
        _check_tables([], args)
        model = load_whole(args.model)
        answer = video.watch(args.camera, args.output, model)
        _write([answer], args.json, args.csv, model.labels)
        print(_sentence(answer))
        return 0
    sources = expand(args.pictures)
    if args.output is None and not (args.json or args.csv) and DEFAULT not in args.pictures:
        # An earlier run's in this folder.
        sources = [s for s in sources if s.data or not same_file(s.name, DEFAULT)] or sources
    _check_tables(sources, args)
    output, folder, json_path = _where(sources, args)
    targets = place(sources, folder) if folder else {}
    written = filter(None, (output, json_path, args.csv, *targets.values()))
    for each in {path.parent for path in written}:
        sweep(each)
    model = load_whole(args.model)
    sources = [s for s in sources if not folder or s.name in targets]
    try:
        if folder or output is None:
            about = {
                "model": digest(args.model), "finder": digest(FINDER), "folder": str(folder),
                "margin": MARGIN, **_what_names_mean(sources),
            }  # fmt: skip
            return judge_many(sources, model, targets, json_path, args.csv, about)
        return judge_few(sources, model, output, json_path, args.csv)
    except KeyboardInterrupt:
        goes_on = "; give the same command again to go on" if folder or output is None else ""
        print(f"stopped{goes_on}", file=sys.stderr)
        return 130


def stream(
    sources: Iterable[Source],
    model: Classifier,
    then: Callable[[dict, np.ndarray], None] | None = None,
    margin: float = MARGIN,
) -> Iterator[dict]:
    """Judge pictures one after the other, reading ahead and writing behind in threads.

    Args:
        sources: taken as needed.
        model: from `classifier.load`; used by this thread only.
        then: called with each answer and its picture, uint8 RGB, in another thread, in order,
            before the answer is given.
        margin: see `predict.cut`.

    Yields:
        In order, `{"file": name, ...}` as `predict` describes, or `{"file": name, "error": text}`
        for a picture that cannot be read.
    """

    def look_at(source: Source) -> stages.Looked:
        return stages.look(
            source.name, lambda: read(source), model.image_size, margin, keep=then is not None
        )

    def finish(item: tuple[dict, np.ndarray | None]) -> dict:
        answer, image = item
        if then and image is not None:
            then(answer, image)
        return answer

    return ahead(finish, stages.judged(sources, look_at, model), workers=1)


def _what_names_mean(sources: list[Source]) -> dict:
    """Where relative names start from, and what came by standard input."""
    relative = any(not os.path.isabs(s.name) for s in sources)
    piped = [hashlib.sha256(s.data).hexdigest() for s in sources if s.data]
    return {"names from": os.getcwd() if relative else None, "standard input": piped}


def _check_tables(sources: list[Source], args: argparse.Namespace) -> None:
    """Refuse names of --json and --csv that a picture has: of `--csv *.jpg` it is the first's."""
    for table in filter(None, (args.json, args.csv)):
        if table.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES or any(
            s.data is None and same_file(s.name, table) for s in sources
        ):
            raise FacemaskError(
                f"{table} is the name of a picture or video; after --json and --csv comes the file "
                "to write, such as answers.json or answers.csv"
            )
    if args.json and args.csv and same_file(args.json, args.csv):
        raise FacemaskError(f"--json and --csv both name {args.json}; choose two files")


def _where(
    sources: list[Source], args: argparse.Namespace
) -> tuple[Path | None, Path | None, Path | None]:
    """The picture or video to write, or the folder, and the JSON file: each a path or None."""
    output, json_path = args.output, args.json
    alone = len(sources) == 1 and is_video(sources[0])
    if output is None:
        if json_path or args.csv:
            return None, None, json_path
        output = Path("prediction.mp4" if alone else DEFAULT)
    if output.is_dir() or not output.suffix:
        return None, output, json_path or output / "answers.json"
    if alone:
        if output.suffix.lower() != ".mp4":
            raise FacemaskError(f"{output} does not end in .mp4, which is what a video becomes")
    elif any(map(is_video, sources)):
        raise FacemaskError(
            "for several videos, or videos and pictures, give a folder: --output <folder>"
        )
    elif output.suffix.lower() not in (DRAWN_SUFFIXES if len(sources) == 1 else GRID_SUFFIXES):
        raise FacemaskError(
            f"{output} does not end like a picture format; use .png or .jpg, or name a folder"
        )
    elif len(sources) > GRID:
        raise FacemaskError(
            f"{len(sources)} pictures are too many for one; give a folder (--output <folder>), "
            "--json or --csv"
        )
    if any(s.data is None and same_file(s.name, output) for s in sources):
        raise FacemaskError(f"{output} is one of the pictures to judge; choose another --output")
    return output, None, json_path


def judge_many(
    sources: list[Source],
    model: Classifier,
    targets: dict[str, Path],
    json_path: Path | None,
    csv_path: Path | None,
    about: dict,
) -> int:
    """Judge any number of pictures and videos by way of a journal."""
    results = json_path or csv_path
    assert results is not None, "there is a file to write the answers to"
    journal = Journal(results.with_name(results.name + ".unfinished"), about)
    others = journal.done - {s.name for s in sources}
    if others:
        journal.close()
        raise FacemaskError(
            f"{journal.path} holds answers of other pictures, such as {min(others)}; repeat that "
            "command to finish it, or delete the file to start anew"
        )
    left = [s for s in sources if s.name not in journal.done]

    def keep(answer: dict, image: np.ndarray) -> None:
        save_picture(targets[answer["file"]], annotate(image, answer))

    with contextlib.closing(journal):
        with tqdm(
            total=len(sources), initial=len(sources) - len(left), unit="photo", desc="Judging",
            disable=len(sources) < 4,
        ) as bar:
            pictures = (s for s in left if not is_video(s))
            for answer in stream(pictures, model, keep if targets else None):
                journal.add(answer)
                bar.update()
            for source in filter(is_video, left):
                journal.add(_video(source, targets.get(source.name), model))
                bar.update()
        problems = 0
        for answer in read_journal(journal.path):
            problems += _complain(answer)
        summary = summarise(read_journal(journal.path), model.labels)
        journal.finish(json_path, csv_path, model.labels)
    counts = summary["labels"] | ({"unsure": summary["unsure"]} if model.sure else {})
    labels = ", ".join(f"{label} {count}" for label, count in counts.items())
    print(
        f"{summary['pictures']} judged: {_counted(summary['faces'], 'face')} ({labels}), "
        f"{summary['no_face']} without a face, {summary['unreadable']} unreadable"
    )
    for path in filter(None, (json_path, csv_path)):
        print(path)
    if targets:
        print(f"the pictures with their answers drawn on them lie in {about['folder']}")
    return 1 if problems else 0


def judge_few(
    sources: list[Source],
    model: Classifier,
    output: Path,
    json_path: Path | None,
    csv_path: Path | None,
) -> int:
    """Judge a few pictures, or one video, and show the answers in one picture or video."""
    images = []

    def keep(answer: dict, image: np.ndarray) -> None:
        show = annotate if len(sources) == 1 else thumbnail
        images.append(show(image, answer))

    if is_video(sources[0]):
        answers = [_video(sources[0], output, model)]
    else:
        answers = list(stream(tqdm(sources, unit="photo", disable=len(sources) < 4), model, keep))
    good = [answer for answer in answers if "error" not in answer]
    if not good:
        raise FacemaskError("; ".join(answer["error"] for answer in answers))
    for answer in good:
        print(_sentence(answer))
    problems = sum(map(_complain, answers))
    if len(sources) == 1 and images:
        save_picture(output, images[0])
    elif images:
        save(draw(good, images=images), output)
    _write(answers, json_path, csv_path, model.labels)
    print(output)
    return 1 if problems else 0


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB (H, W, 3) in the format that the name ends in, whole or not at all."""
    is_lossy = path.suffix.lower() in (".jpg", ".jpeg", ".webp")
    lossy: dict[str, Any] = {"quality": 92} if is_lossy else {}
    with write_whole(path) as partial:
        try:
            write_by_pillow(partial, image, compress_level=2, **lossy)
        except ValueError as error:  # such as WebP's limit of 16,383 pixels
            raise FacemaskError(f"cannot write {path}: {error}; choose another format") from error


def _write(
    answers: list[dict], json_path: Path | None, csv_path: Path | None, labels: Sequence[str]
) -> None:
    if json_path:
        write_answers_json(json_path, iter(answers))
    if csv_path:
        write_answers_csv(csv_path, iter(answers), labels)


def _video(source: Source, target: Path | None, model: Classifier) -> dict:
    try:
        return video.judge_video(source.name, target, model)
    except FacemaskError as error:
        # An unreadable video is passed over; a target that cannot be written ends the run.
        if isinstance(error.__cause__, OSError):
            raise
        return {"file": source.name, "error": str(error)}


def _complain(answer: dict) -> bool:
    """Report a picture that could not be read, or not all of it."""
    problem = answer.get("error") or answer.get("warning")
    if problem:
        print(printable(problem), file=sys.stderr)
    return bool(problem)


def _sentence(answer: dict) -> str:
    """An answer as a line of text."""
    found = answer["faces"]
    if answer["judged"] == "whole picture":
        text = f"whole picture: {_verdict(answer['whole'])}"
    elif not found:
        text = "no face found (one that lies on its side is not seen; turn the picture)"
    elif len(found) > TOLD:
        counts = Counter(face["label"] if face["sure"] else "unsure" for face in found)
        text = f"{len(found)} faces: " + ", ".join(f"{n} {k}" for k, n in counts.most_common())
    else:
        text = f"{_counted(len(found), 'face')}: " + ", ".join(map(_verdict, found))
    return printable(f"{answer['file']}: {text}")


def _verdict(verdict: dict) -> str:
    text = f"{verdict['label']} {verdict['probability']:.3f}"
    return text if verdict["sure"] else f"unsure ({text})"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def load_whole(path: Path, threads: int = 2) -> Classifier:
    """The model, once it is known that the face finder is there as well.

    Args:
        threads: see `classifier.load`.

    Raises:
        FacemaskError: see `classifier.load`, or the finder is missing.
    """
    if path == RELEASE and not path.exists():
        raise FacemaskError(
            f"the released model is missing from {path}; fetch the project anew, or name a model "
            "of yours with --model"
        )
    finder.released()  # if it is missing, that is said now rather than once per picture
    return load(path, threads)


def digest(model: Path) -> str:
    """SHA-256 of a model's contents, to tell whether a journal was begun with it."""
    model = model_file(model)
    digest = hashlib.sha256()
    for path in sorted(model.rglob("*")) if model.is_dir() else [model]:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
