"""Build the web page: `python web/build.py MODEL [OUT]`.

MODEL is a folder with a model's exports: tfjs/, labels.txt, and any of saved_model/, *.tflite and
model.keras, which the page offers for download. OUT, web/dist unless given, can be served as it
is by any web server, below any path. Needs Node.js with npm.
"""

import argparse
import hashlib
import html
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facemask.datasets.sample import draw_scene  # noqa: E402
from facemask.exports import tfjs  # noqa: E402
from facemask.images.writing import write_image  # noqa: E402
from facemask.io.files import FINDER, FacemaskError, read_json, write_json, write_whole  # noqa: E402
from facemask.models.classifier import OPERATING_POINT, read_sure  # noqa: E402
from facemask.photos import finder, predict  # noqa: E402

EXAMPLE_SEED = 7
PACKAGES = HERE / "node_modules"
FEW = 64
KINDS = {  # of exports: the end of the name and what it is for; the first that fits
    "float16.tflite": "LiteRT for phones and devices, weights as 16-bit floats",
    "dynamic.tflite": "LiteRT, weights as 8-bit integers",
    "int8.tflite": "LiteRT, all in 8-bit integers: smallest and fastest",
    ".tflite": "LiteRT (TensorFlow Lite) for phones and devices",
    "tfjs.zip": "TensorFlow.js for web pages and Node.js",
    "saved_model.zip": "TensorFlow SavedModel for servers",
    ".keras": "Keras, to train further",
    "labels.txt": "The classes, in the order of the model's outputs",
    OPERATING_POINT: "The least probability of a sure answer",
}


def build(model: Path, out: Path) -> None:
    """Write the whole page to `out`; one that is there already is replaced, and nothing else.

    Args:
        model: folder with tfjs/ and the other exports.
        out: folder to write.

    Raises:
        FacemaskError: there is no TF.js model, Node.js with npm is missing or fails, or `out` holds
            something other than a page.
    """
    if out.exists() and not (out / "sw.js").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise FacemaskError(f"{out} holds no page but something else; name another folder")
    description = tfjs.read_description(model / "tfjs")
    install_packages()
    with write_whole(out) as partial:
        partial.mkdir()
        files = partial / "files"  # until the version is known
        files.mkdir()
        shutil.copytree(FINDER.parent / "tfjs", files / "finder")
        halve(files / "finder")
        write_json(files / "finder" / "settings.json", settings())
        shutil.copytree(model / "tfjs", files / "model")
        halve(files / "model")
        write_json(files / "model" / "labels.json", description | {"sure": read_sure(model)})
        bundle(files)
        scene, _ = draw_scene(np.random.default_rng(EXAMPLE_SEED), faces=4, width=960, height=540)
        write_image(files / "example.webp", scene, [cv2.IMWRITE_WEBP_QUALITY, 85])
        page = (HERE / "src" / "index.html").read_text(encoding="utf-8")
        page = page.replace("SIZE", str(description["input"]["size"]))
        page = page.replace("<!-- EXPORTS -->", copy_exports(model, partial / "exports"))
        script = (HERE / "src" / "sw.js").read_text(encoding="utf-8")
        version = digest(files, page + script)
        files = files.rename(partial / version)
        (partial / "index.html").write_text(page.replace("VERSION", version), encoding="utf-8")
        script = fill_service_worker(script, version, files)
        (partial / "sw.js").write_text(script, encoding="utf-8")


def halve(model: Path) -> None:
    """Round the weights of a TF.js model to 16-bit floats, in place: half as much to fetch.

    TF.js widens them again when it loads them. Few numbers, such as scales, stay as they are.
    """
    description = read_json(model / "model.json")
    for group in description["weightsManifest"]:
        parts = [model / name for name in group["paths"]]  # one for every 4 MB
        whole, rounded, place = b"".join(part.read_bytes() for part in parts), b"", 0
        for weight in group["weights"]:
            values = np.frombuffer(whole, "<f4", int(np.prod(weight["shape"])), place)
            place += values.nbytes  # all types that the converter writes have four bytes
            if weight["dtype"] == "float32" and len(values) >= FEW:
                weight["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
                rounded += values.astype("<f2").tobytes()
            else:
                rounded += values.tobytes()
        for part in parts[1:]:
            part.unlink()
        parts[0].write_bytes(rounded)
        group["paths"] = [parts[0].name]
    write_json(model / "model.json", description)


def settings() -> dict:
    """The numbers by which faces are found and cut, for the page to do as Python does."""
    names = [
        "SIDE", "ENLARGE", "THRESHOLD", "SMALL", "SMALL_EXTRA", "SAME", "NESTED", "MULTIPLE",
        "STRIDES", "LARGE", "PIXELS", "SECOND", "SECOND_SIZE", "CROP_SIDE", "CROP_ASPECT",
        "CROP_FILL", "CROP_SMALL", "CROP_SURE", "CROP_RIVAL", "CROP_FAINT",
    ]  # fmt: skip
    values = {name: getattr(finder, name) for name in names} | {"MARGIN": predict.MARGIN}
    return {_camel(name): value for name, value in values.items()}


def _camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def install_packages() -> None:
    """Install what package-lock.json names, unless that is done."""
    if shutil.which("node") is None:  # esbuild needs it too, and would say it less well
        raise FacemaskError("node is missing; install Node.js 18 or later, with npm")
    lock = HERE / "package-lock.json"
    done = PACKAGES / ".installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if done.exists() and done.read_text() == wanted:
        return
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    with write_whole(done) as partial:
        partial.write_text(wanted)


def bundle(out: Path) -> None:
    """Write the scripts, the style and the WASM backend's files."""
    run(
        PACKAGES / ".bin" / "esbuild", "src/main.js", "src/style.css", f"--outdir={out}",
        "--bundle", "--splitting", "--format=esm", "--minify", "--target=es2022",
        "--chunk-names=[name]-[hash]", "--log-level=warning", "--legal-comments=linked",
    )  # fmt: skip
    for file in (PACKAGES / "@tensorflow" / "tfjs-backend-wasm" / "dist").glob("*.wasm"):
        shutil.copy(file, out)


def copy_exports(model: Path, out: Path) -> str:
    """Copy the exports, folders as zips, and give the page's list of them."""
    out.mkdir()
    for path in sorted(model.iterdir()):
        if path.is_dir() and path.name in ("tfjs", "saved_model"):
            shutil.make_archive(str(out / path.name), "zip", model, path.name)
        elif path.name in ("labels.txt", OPERATING_POINT) or path.suffix in (".tflite", ".keras"):
            shutil.copy(path, out)
    items = []
    for path in sorted(out.iterdir(), key=_rank):
        name = html.escape(path.name)
        size = max(1, round(path.stat().st_size / 1000))
        items.append(
            f'<li><a href="exports/{name}" download>{name}</a>, {size} kB: {_kind(path)}</li>'
        )
    return "\n          ".join(items)


def _kind(path: Path) -> str:
    return next(text for end, text in KINDS.items() if path.name.endswith(end))


def _rank(path: Path) -> tuple[int, str]:
    return list(KINDS.values()).index(_kind(path)), path.name


def fill_service_worker(script: str, version: str, files: Path) -> str:
    """The script that keeps the page for use without a network, for the files of a version."""
    # Every browser that knows module scripts with top-level await also has WASM's SIMD.
    unused = ("tfjs-backend-wasm.wasm", "tfjs-backend-wasm-threaded-simd.wasm")
    kept = [path.relative_to(files.parent).as_posix() for path in sorted(files.rglob("*"))
            if path.is_file() and path.name not in unused and path.suffix != ".txt"]  # fmt: skip
    script = script.replace('"VERSION"', json.dumps(version))
    return script.replace('["FILES"]', json.dumps([f"./{name}" for name in kept]))


def digest(folder: Path, text: str) -> str:
    """Twelve digits that are others if a file of the folder, or the text, is another."""
    whole = hashlib.sha256(text.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:12]


def run(*command: str | Path) -> None:
    try:
        subprocess.run(
            [str(part) for part in command], cwd=HERE, check=True, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError as error:
        raise FacemaskError(
            f"{command[0]} is missing; install Node.js 18 or later, with npm"
        ) from error
    except subprocess.CalledProcessError as error:
        # esbuild's first error says it all; what Node.js adds does not.
        problem = next((line for line in error.stderr.splitlines() if "[ERROR]" in line), None)
        if problem is None:
            sys.stderr.write(error.stderr)
        raise FacemaskError(
            f"{Path(command[0]).name} failed: {problem or 'see above'}; mend that (free some space "
            "if the disk is full) and run it again"
        ) from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the web page.")
    parser.add_argument("model", type=Path, help="folder with a model's exports")
    parser.add_argument("out", type=Path, nargs="?", default=HERE / "dist")
    args = parser.parse_args()
    try:
        build(args.model, args.out.resolve())
    except FacemaskError as error:
        print(f"web/build.py: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
