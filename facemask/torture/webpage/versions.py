"""The page left and come back to, in two tabs, and changed on the server while it is open."""

import shutil
from pathlib import Path

from facemask.torture.webpage import attacks
from facemask.torture.webpage.visit import Visit

# Ask the server for a new version, and wait until it is stored or refused.
UPDATE = """navigator.serviceWorker.getRegistration().then(async (registration) => {
  await registration.update();
  while (registration.installing) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 500));
})"""
# The versions' pages differ by their downloads, and their models by the labels.
PAGE = "document.querySelectorAll('.downloads li').length"


def versions(site: Path, other: Path, folder: Path, backend: str = "webgl") -> dict:
    """All of it, in one visit.

    Args:
        site, other: two versions of the page, see `build_other`.
        backend: for which the model is loaded anew.
    """
    half = folder / "half"  # as in the middle of an upload: the old page with the new list of files
    shutil.copytree(site, half)
    shutil.copy(other / "sw.js", half)
    visit = Visit("back, second tab, update", folder)
    shown: dict[str, tuple[int, int]] = {}

    def look(what: str) -> None:
        shown[what] = visit.run(PAGE), visit.judge()

    visit.do("open")
    look("A: opened")
    visit.do("leave")
    visit.do("back")
    look("A: back")
    visit.do("webcam", seconds=1)
    visit.do("leave")
    visit.do("back")
    webcam = visit.run("document.querySelector('#webcam').getAttribute('aria-pressed')")
    look("A: back to the webcam")
    visit.do("tab", name="second")
    visit.do("open")
    look("A: a second tab")
    visit.do("serve", path=str(half))
    visit.run(UPDATE)
    visit.do("reload")
    look("A: half a new version on the server")
    visit.do("serve", path=str(other))
    visit.run(UPDATE)
    visit.do("tab", name="third")
    visit.do("open")
    look("B: a new tab, when the new version is there")
    visit.do("tab", name="first")
    look("A: the old tab, when the new version is there")
    visit.do("backend", name=backend)
    look("A: the old tab, with its model loaded anew")
    visit.do("reload")
    look("B: the old tab, loaded anew")
    visit.do("tab", name="third")
    visit.do("backend", name=backend)
    look("B: the new tab, with its model loaded anew")
    visit.do("offline")
    look("B: without a network")
    visit.go(site, attacks.film(folder))

    pages, labels = {}, {}
    for version, what in (("A", "A: opened"), ("B", "B: without a network")):
        page, answer = shown[what]
        pages[version], labels[version] = visit[page]["value"], visit.labels(answer)
    visit.check("the versions differ", pages["A"] != pages["B"] and labels["A"] != labels["B"])
    visit.check("the good photo has faces", bool(labels["A"]))
    for what, (page, answer) in shown.items():
        version = what[0]
        visit.check(f"{what}: its page", visit[page]["value"] == pages[version])
        visit.check(f"{what}: its answer", visit.labels(answer) == labels[version])
    visit.check("the webcam is off after coming back", visit[webcam]["value"] == "false")
    visit.check(f"errors: {visit.answer['errors']}", not visit.answer["errors"])
    return {"tried": len(shown), "failures": visit.failures}
