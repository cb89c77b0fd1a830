"""The web page under attack, in headless Chromium, and what became of it.

`python -m facemask.torture --only page` builds the page and tries to break its content-security
policy, gives it files that harm, a thousand photos and ten minutes of webcam, leaves it and comes
back, and changes it on the server while it is open. A failure is: a script that ran, a request to
another origin, text that became HTML, memory that grew, an error that nobody caught, parts of two
versions in one page, or a page that no longer judges a good photo. Needs Node.js and Chromium.
"""

import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from facemask.benchmarks import browser
from facemask.io.files import FacemaskError
from facemask.torture.webpage import attacks
from facemask.torture.webpage.versions import versions
from facemask.torture.webpage.visit import Visit, build, build_other

PHOTOS, EARLY = 1000, 100  # memory is compared after so many
MINUTES = 10.0
HEAP, PROCESS = 10, 100  # MB that the heap and the whole process may have grown by
DIFFERENT = 20  # photos that take turns
INJECTED = """"__pwned" in window || document.querySelectorAll(
    "#status *, #faces li *, #injected, [onerror], [onload]").length > 0"""
ANSWER = re.compile(r"No face was found\.|\d+ faces?: |The picture was judged whole")
REFUSED = "cannot be judged: it is not a picture that this browser can show"
# Without Trusted Types a policy cannot keep out HTML that leaves the page (a refresh) or replaces
# it (written), and a script in HTML is never run by any browser, so that nothing has to stop it.
UNSTOPPED = ("HTML with a refresh", "HTML written", "HTML with a script")
OLDER = tuple(name for name in attacks.ATTEMPTS if name not in UNSTOPPED)
POLICY = re.compile("Content Security Policy|TrustedHTML|TrustedScript|Trusted Type", re.IGNORECASE)


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another origin: its address, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Type", "text/javascript")
            self.end_headers()
            self.wfile.write(b"globalThis.__pwned = 1")

        do_POST = do_OPTIONS = do_HEAD = do_GET

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def security(site: Path, folder: Path, names: Iterable[str] = attacks.ATTEMPTS) -> dict:
    """Try to run a script in the page, and to send something to another origin.

    Args:
        names: of the attempts.
    """
    visit = Visit("content security policy", folder)
    visit.do("open")
    good = str(visit.good)
    first = visit.do("drop", path=good)
    with elsewhere() as (address, asked):
        steps = {name: visit.do(
                     "attempt", script=attacks.script(name, address + name.replace(" ", "-")))
                 for name in names}  # fmt: skip
        place = visit.run("location.pathname + new URL('.', document.baseURI).pathname")
        last = visit.do("drop", path=good)  # choosing would wait for what was stopped
        visit.go(site)
    sent = " ".join(asked)
    for name, step in steps.items():
        result = visit[step]["value"]
        sends = f"/{name.replace(' ', '-')}" in sent.split()
        visit.check(f"{name} is blocked ({result}, {'' if sends else 'not '}sent)",
                    bool(result and result["blocked"]) and not result["ran"] and not sends)
    visit.check("the page is where it was", visit[place]["value"] == "/below//below/")
    visit.check(f"asked of another origin: {asked}", not asked)
    visit.still_judges(first, last)
    visit.check("only the policy spoke", all(POLICY.search(e) for e in visit.answer["errors"]))
    return {"tried": len(steps), "failures": visit.failures}


def without_trusted_types(site: Path, out: Path) -> Path:
    """The page as browsers read it that do not know Trusted Types."""
    shutil.copytree(site, out)
    page = out / "index.html"
    text = page.read_text("utf-8")
    page.write_text(re.sub('; require-trusted-types-for[^"]*', "", text), "utf-8")
    return out


def texts(site: Path, folder: Path, names: Iterable[str] = attacks.NAMES) -> dict:
    """Photos whose names and whose texts inside are HTML."""
    visit = Visit("file names and EXIF", folder)
    files = attacks.named_files(folder, names)
    visit.do("open")
    first = visit.judge()
    steps = []
    for path in files:
        steps.append((path, visit.judge(path), visit.run(INJECTED), visit.do("look", width=360)))
    last = visit.judge()
    visit.go(site)
    for path, judged, injected, look in steps:
        photo = path.suffix != ".gif"
        shown = visit[judged]["status"]
        answered = bool(visit[judged]["faces"]) if photo else shown.startswith(path.name)
        visit.check(f"{path.name!r} is answered: {shown!r}", answered)
        visit.check(f"{path.name!r} stays text", visit[injected]["value"] is False)
        visit.check(f"{path.name!r} fits on a phone", not visit[look]["wide"])
    visit.still_judges(first, last)
    visit.quiet()
    return {"tried": len(files), "failures": visit.failures}


def oddities(site: Path, folder: Path, large: bool = True) -> dict:
    """Files that are no photos, hardly any, or too much of one."""
    visit = Visit("odd files", folder)
    files = attacks.odd_files(folder, large)
    visit.do("open")
    first = visit.judge()
    steps = [(path, visit.judge(path), visit.run(INJECTED), visit.judge()) for path in files]
    visit.go(site)
    kinds = {"answered": 0, "refused with a message": 0}
    for path, odd, injected, good in steps:
        said = visit[odd]["status"]
        answered, refused = ANSWER.match(said), said == f"{path.name} {REFUSED}"
        kinds["answered"] += bool(answered)
        kinds["refused with a message"] += refused
        visit.check(f"{path.name} is answered or refused: {said!r}", bool(answered) or refused)
        visit.check(f"{path.name} runs nothing", visit[injected]["value"] is False)
        visit.still_judges(first, good)
    visit.quiet()
    return {"tried": len(files), **kinds, "failures": visit.failures}


def _memory(visit: Visit, early: int, late: int) -> dict:
    """Check and give what the page held early and late."""
    before, after = visit[early]["value"], visit[late]["value"]
    visit.check(f"the heap stays: {before}, {after}", after["heap"] - before["heap"] < HEAP)
    visit.check(f"tensors stay: {before}, {after}", after["tensors"] == before["tensors"])
    if before["renderer"] is not None:
        visit.check(f"memory stays: {before}, {after}",
                    after["renderer"] - before["renderer"] < PROCESS)  # fmt: skip
    return {
        "heap MB, early": round(before["heap"], 1), "heap MB, late": round(after["heap"], 1),
        "process MB, early": round(before["renderer"] or 0),
        "process MB, late": round(after["renderer"] or 0), "tensors": after["tensors"],
    }  # fmt: skip


def photos(site: Path, folder: Path, count: int = PHOTOS, early: int = EARLY) -> dict:
    """One photo after the other, of many sizes."""
    visit = Visit("photos", folder)
    paths = [folder / f"{k}.jpg" for k in range(min(count, DIFFERENT))]
    for k, path in enumerate(paths):
        attacks.photo(k, 320 + 160 * (k % 10), 240 + 120 * (k % 7)).save(path)
    visit.do("open")
    first = visit.judge()
    memory, judged = [], []
    for done in range(1, count + 1):
        judged.append(visit.judge(paths[done % len(paths)]))
        if done in (early, count):
            memory.append(visit.do("memory"))
    last = visit.judge()
    visit.go(site)
    visit.check("every photo is judged", all(ANSWER.match(visit[k]["status"]) for k in judged))
    row = _memory(visit, *memory)
    visit.still_judges(first, last)
    visit.quiet()
    return {"tried": count, **row, "failures": visit.failures}


def webcam(site: Path, folder: Path, minutes: float = MINUTES) -> dict:
    """The webcam, a film in its place; a tenth of the time counts as early."""
    visit = Visit("webcam", folder)
    visit.do("open")
    first = visit.judge()
    live = visit.do("webcam", seconds=6 * minutes)
    early = visit.do("memory")
    visit.do("wait", seconds=54 * minutes)
    late = visit.do("memory")
    stopped = visit.do("stop")
    last = visit.judge()
    visit.go(site, attacks.film(folder))
    for step in (live, late):
        visit.check(f"it runs at step {step}", "frames a second" in visit[step]["speed"])
    visit.check("it sees faces", bool(visit[live]["faces"] or visit[late]["faces"]))
    visit.check("it stops", visit[stopped]["status"] == "The webcam is off.")
    row = _memory(visit, early, late)
    visit.still_judges(first, last)
    visit.quiet()
    return {"tried": 1, "minutes": minutes, **row, "failures": visit.failures}


def rows(stack: ExitStack) -> dict[str, Callable[[], dict]]:
    """All of it; a visit that hangs, or does not get to its end, counts as one failure.

    Raises:
        FacemaskError: there is no Chromium, or the page cannot be built.
    """
    browser.find()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    site = build(folder / "site")
    parts: dict[str, Callable[[Path], dict]] = {
        "content security policy": lambda place: security(site, place),
        "policy without Trusted Types": lambda place: security(
            without_trusted_types(site, place / "site"), place, OLDER),
        "file names and EXIF": lambda place: texts(site, place),
        "odd files": lambda place: oddities(site, place),
        f"{PHOTOS:,} photos": lambda place: photos(site, place),
        "webcam": lambda place: webcam(site, place),
        "back, second tab, update": lambda place: versions(
            site, build_other(place / "other"), place),
    }  # fmt: skip

    def measure(number: int, what: str) -> dict:
        place = folder / str(number)
        place.mkdir()
        try:
            return parts[what](place)
        except FacemaskError as error:
            print(f"page, {what}: {error}", file=sys.stderr)
            return {"tried": 1, "failures": 1}

    return {what: partial(measure, number, what) for number, what in enumerate(parts)}
