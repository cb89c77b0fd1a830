"""Score many photos by both engines, in spite of killed nodes; writes reports/scale.json.

`python -m facemask.benchmarks.scale ARCHIVES [--pictures N]` repeats the pictures of all zips in
ARCHIVES, faces cut out and photos, as hard links of other names, one in a hundred broken. It needs
`pip install -r requirements-ray.txt` and Linux. Five parts, each written when done, each to be had
alone by `--only`; those that time something, and the store, do with photos and fewer of them:

stages      photos per core-second of each stage, one after the other on one core
engines     both engines on all pictures, Ray on a cluster of two nodes: the same rows, each once;
            memory of a worker in the first tenth and later
kills       the same on a cluster of which a node is killed ten times and the driver twice, with a
            fifth of the pictures
throughput  photos a second of both engines on the same cores, and of Ray with one worker and two
store       some of the photos from an S3 store (moto's server): the same rows as from disk, and
            whether the credentials are to be found in what was written or said
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
from tqdm import tqdm

from facemask.benchmarks.scale.nodes import Run, cluster
from facemask.datasets.download import download
from facemask.images.reading import find_images, read_image
from facemask.io.files import RELEASE, FacemaskError, read_json, write_json, write_whole
from facemask.photos import finder
from facemask.photos.batch import digest, load_whole
from facemask.photos.predict import cut_found, describe
from facemask.release.photos import photos_of
from facemask.scoring import parts
from facemask.scoring.command import ENGINES
from facemask.scoring.items import find_items
from facemask.scoring.pipeline import fetch

REPORT = Path("reports/scale.json")
PICTURES, ONE_IN = 100_000, 100  # one in so many is broken
NODES, KILLS, DRIVERS = 2, 10, 2
TIMED = 200  # photos whose stages are timed
STORED = 1000  # photos that are put into the store at most
SECRETS = {"AWS_ACCESS_KEY_ID": "AKIAPLANTEDKEY0ID", "AWS_SECRET_ACCESS_KEY": "planted-Secret/Key0"}


def make_photos(originals: list[Path], folder: Path, number: int) -> Path:
    """A folder of so many photos: the originals again and again, and broken ones among them."""
    if not folder.is_dir():
        with write_whole(folder) as unfinished:
            for k in range(number):
                original = originals[k % len(originals)]
                path = unfinished / f"{k // 1000:04d}" / f"{k:07d}{original.suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if k % ONE_IN == ONE_IN // 2:
                    path.write_bytes(original.read_bytes()[: (k * 7) % 300])
                else:
                    path.hardlink_to(original.resolve())
    return folder


def rows_of(out: Path, strip: str = "") -> list[str]:
    """All rows in a folder of results, as sorted JSON, less a start of their paths."""
    rows = []
    for path in out.glob("part-*.parquet"):
        for row in parts.read(path).to_pylist():
            text = json.dumps(row, sort_keys=True)
            rows.append(text.replace(strip, "") if strip else text)
    return sorted(rows)


def compared(truth: list[str], rows: list[str]) -> dict:
    """How rows differ from those that they should be."""
    wanted, got = Counter(truth), Counter(rows)
    return {"rows": len(rows), "rows lost": (wanted - got).total(),
            "rows doubled": sum(n - 1 for n in got.values()),
            "rows that differ": len(got.keys() - wanted.keys())}  # fmt: skip


def anew(folder: Path) -> Path:
    """The folder, empty of what an earlier measurement left."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def local_run(photos: Path, out: Path) -> Run:
    """The local engine over all photos, or over those that an earlier run has not done."""
    return Run([photos, "--out", out], out.with_suffix(".txt")).finish()


def ray_run(photos: Path, work: Path, name: str, environment: dict[str, str]) -> Run:
    """The Ray engine over all photos, begun."""
    return Run([photos, "--out", work / name, "--engine", "ray"], work / f"{name}.txt", environment)


def engines(photos: Path, work: Path) -> dict:
    """See the module's text."""
    number = len(find_items(str(photos)))
    local_run(photos, truth := work / f"local-{photos.name}")
    anew(work / "ray")
    with cluster(NODES) as (environment, _):
        run = ray_run(photos, work, "ray", environment).finish()
    early, late = run.memory(number)
    counts = parts.count(work / "ray")
    return {
        "pictures": number, "in the results": counts["pictures"],
        "unreadable": counts["unreadable"], "nodes": NODES,
        **compared(rows_of(truth), rows_of(work / "ray")),
        "MB of a worker, first tenth": round(early), "MB of a worker, later": round(late),
    }  # fmt: skip


def kills(photos: Path, work: Path) -> dict:
    """See the module's text."""
    number = len(find_items(str(photos)))
    local_run(photos, truth := work / f"local-{photos.name}")
    anew(work / "killed")
    nodes = drivers = 0
    start = time.monotonic()
    with cluster(NODES) as (environment, kill_one):
        run = ray_run(photos, work, "killed", environment)
        for step in range(KILLS + DRIVERS):
            if not run.until((step + 1) * number / (KILLS + DRIVERS + 1)):
                break  # it has ended, which `finish` looks at
            if step % (KILLS // DRIVERS + 1) == KILLS // DRIVERS:
                run.kill()
                drivers += 1
                run = ray_run(photos, work, "killed", environment)
            else:
                kill_one()
                nodes += 1
        run.finish()
    return {
        "pictures": number, "nodes killed": nodes, "drivers killed": drivers,
        "seconds": round(time.monotonic() - start),
        **compared(rows_of(truth), rows_of(work / "killed")),
    }  # fmt: skip


def throughput(photos: Path, work: Path) -> dict:
    """See the module's text. Each run gets the same photos; starting up does not count."""
    rates = {"local": local_run(photos, anew(work / "timed")).rate()}
    for workers in (NODES, 1):
        anew(work / "timed")
        with cluster(workers) as (environment, _):
            run = ray_run(photos, work, "timed", environment).finish()
        rates[f"ray, {workers} workers"] = run.rate()
    anew(work / "timed")
    both = rates[f"ray, {NODES} workers"]
    return {
        "photos": len(find_items(str(photos))), "cores": len(os.sched_getaffinity(0)),
        "photos a second": {name: round(rate, 2) for name, rate in rates.items()},
        "ray over local": round(both / rates["local"], 3),
        "two workers over one": round(both / rates["ray, 1 workers"], 3),
        "load of the machine afterwards": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def store(photos: Path, work: Path) -> dict:
    """See the module's text."""
    from pyarrow import fs

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    key, secret = SECRETS.values()
    try:
        _wait_for(port)
        bucket = fs.S3FileSystem(
            access_key=key, secret_key=secret, scheme="http", region="us-east-1",
            endpoint_override=f"127.0.0.1:{port}", allow_bucket_creation=True,
        )  # fmt: skip
        bucket.create_dir("photos")
        items = find_items(str(photos))[:STORED]
        for item in items:
            with bucket.open_output_stream("photos" + item.name.removeprefix(str(photos))) as file:
                file.write(Path(item.name).read_bytes())
        (work / "list.txt").write_text("\n".join(item.name for item in items))
        from_disk = Run([work / "list.txt", "--out", anew(work / "disk")], work / "disk.txt")
        from_disk.finish()
        truth = rows_of(work / "disk", str(photos))
        endpoint = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        inside = f"{key}:{secret.replace('/', '%2F')}@"
        report: dict = {"photos": len(items)}
        for how, address, environment in (
            ("credentials in the environment", f"s3://photos?{endpoint}", SECRETS),
            ("credentials in the address", f"s3://{inside}photos?{endpoint}", {}),
        ):
            for engine in ENGINES:
                out, said = anew(work / "store"), work / "store.txt"
                Run([address, "--out", out, "--engine", engine], said, environment).finish()
                written = [said, *filter(Path.is_file, out.rglob("*"))]
                texts = [path.read_bytes() for path in written]
                texts += [row.encode() for row in rows_of(out)]  # as Parquet compresses
                found = sum(s.encode() in text for s in SECRETS.values() for text in texts)
                report[f"{engine}, {how}"] = {
                    **compared(truth, rows_of(out, "s3://photos")), "credentials found": found,
                }  # fmt: skip
        return report
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(240):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.25)
    raise FacemaskError("moto's server does not start; run: pip install -r requirements-ray.txt")


def stages(photos: Path, work: Path) -> dict:
    """See the module's text. Processor time, which depends less on what else the machine does."""
    cv2.setNumThreads(1)
    model = load_whole(RELEASE, threads=1)
    tracemalloc.start()
    items = find_items(str(photos))
    named = {item.name: None for item in items}  # as `parts` keeps those that are done
    memory = tracemalloc.get_traced_memory()[0] / len(named)
    tracemalloc.stop()
    items = items[:: max(1, len(items) // TIMED)][:TIMED]
    spent = dict.fromkeys(("read and decode", "find", "judge"), 0.0)
    clock = time.process_time()
    size = 0
    answers: list[str] = []

    def lap(stage: str) -> None:
        nonlocal clock
        spent[stage] += time.process_time() - clock
        clock = time.process_time()

    out = anew(work / "stages")
    with parts.opened(out, {"model": digest(RELEASE)}, model.labels) as results:
        for item in tqdm(items, desc="stages", unit="photo"):
            file = fetch(item)
            try:
                image = read_image(io.BytesIO(file if isinstance(file, bytes) else b""))
            except FacemaskError:
                continue  # cheaper than a photo, and rare
            clock = clock if answers else time.process_time()  # the first sets things up
            size += len(file)
            lap("read and decode")
            found = finder.find_faces(image)
            lap("find")
            shown = cut_found(image, found, model.image_size)
            answer = describe(shown, model.predict(shown.crops), model)
            lap("judge")
            answers.append(json.dumps({"file": item.name, **answer}))
            results.add(json.loads(answers[-1]))
            clock = time.process_time()  # writing is timed by itself, as one process does it
    number = len(answers)
    rates = {stage: number / seconds for stage, seconds in spent.items()}
    rates["write"] = _writing(answers, anew(work / "written"), model.labels)
    return {
        "photos": number, "bytes a photo": round(size / number),
        "bytes of results a photo": round(sum(p.stat().st_size for p in out.iterdir()) / number),
        "photos per core-second": {stage: round(rate, 1) for stage, rate in rates.items()},
        "bytes of memory a name": round(memory),
        "photos per core-second, all stages": round(1 / sum(1 / r for r in rates.values()), 2),
    }  # fmt: skip


def _writing(answers: list[str], out: Path, labels: list[str]) -> float:
    """Answers that a core takes in and writes in a second, as JSON the way workers send them."""
    with parts.opened(out, {"model": digest(RELEASE)}, labels) as results:
        for turn in range(2):  # the first sets things up
            clock = time.process_time()
            for k in range(parts.PICTURES):
                answer = json.loads(answers[k % len(answers)])
                results.add({**answer, "file": f"{turn}/{k}/{answer['file']}"})
    return parts.PICTURES / (time.process_time() - clock)


def main() -> None:
    """See the module's text."""
    measured: dict[str, Callable[[Path, Path], dict]] = {
        "stages": stages, "engines": engines, "kills": kills, "throughput": throughput,
        "store": store,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("archives", type=Path, help="folder with the data sets' zips")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--only", nargs="+", choices=measured, default=list(measured))
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    args = parser.parse_args()
    zips = sorted(args.archives.glob("*.zip"))
    pictures = [p for file in zips for p in find_images(download(str(file), args.data_dir))]
    random.Random(0).shuffle(pictures)  # or the first tenth would be of one archive
    photos = [p for rows in photos_of(args.archives, args.data_dir).values() for p, _, _ in rows]
    sources = {"engines": (pictures, args.pictures), "kills": (pictures, args.pictures // 5)}
    work = args.data_dir.resolve() / "bench-scale"
    for part in args.only:
        originals, number = sources.get(part, (photos, args.pictures // 20))
        folder = work / f"{'pictures' if part in sources else 'photos'}-{number}"
        result = measured[part](make_photos(originals, folder, number), work)
        report = read_json(REPORT) if REPORT.is_file() else {}
        write_json(REPORT, {**report, part: result})
        print(part, json.dumps(result, indent=1))


if __name__ == "__main__":
    try:
        main()
    except FacemaskError as error:
        sys.exit(f"facemask: {error}")
