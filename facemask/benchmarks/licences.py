"""Licences of what the base install brings and of what the page carries: reports/licences.json.

`python -m facemask.benchmarks.licences` reads them from the packages that are installed and from
web/package-lock.json, and fails on one that is unknown or that a user might have to think about.
"""

import importlib.metadata
import sys
from collections.abc import Iterator

from packaging.requirements import Requirement

from facemask.io.files import ROOT, FacemaskError, read_json, write_json
from facemask.io.tables import REPORTS

REPORT = REPORTS / "licences.json"
# Words of licences that ask for nothing but to be named; MPL-2.0 binds its own files alone.
KNOWN = {
    "pi_heif": "its own code BSD-3-Clause; it brings libheif and libde265, LGPL-3.0, as libraries",
    "opencv-python-headless": "Apache-2.0; it brings FFmpeg, LGPL-2.1, as libraries",
}
FREE = ("Apache", "BSD", "ISC", "MIT", "MPL-2.0", "Mozilla", "PSF", "Python Software", "Zlib")


def installed() -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of every package that the base install needs.

    Raises:
        FacemaskError: one is not installed.
    """
    waiting = [Requirement(text) for text in read_dependencies()]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        if requirement.name.lower() in seen:
            continue
        seen.add(requirement.name.lower())
        try:
            found = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError as error:
            raise FacemaskError(f"{requirement.name} is not installed; run `make run`") from error
        yield found.name, found.version, KNOWN.get(found.name) or licence_of(found.metadata)
        for text in found.requires or ():
            needed = Requirement(text)
            if not needed.marker or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed)


def read_dependencies() -> list[str]:
    """The base install's own list, in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text()
    lines = text.partition("\ndependencies = [")[2].partition("]")[0].split("\n")
    return [line.strip(' ",') for line in lines if line.strip()]


def licence_of(metadata: importlib.metadata.PackageMetadata) -> str:
    """What a package says of its licence, by its newest field first; "" if nothing."""
    if expressions := metadata.get_all("License-Expression"):
        return str(expressions[0])
    said = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or ()
            if line.startswith("License ::") and not line.endswith("OSI Approved")]  # fmt: skip
    text = (metadata.get_all("License") or [""])[0]
    return " and ".join(said) or str(text).strip().split("\n")[0][:60]


def bundled() -> Iterator[tuple[str, str, str]]:
    """The same of every npm package that may end up in the page."""
    for place, row in read_json(ROOT / "web" / "package-lock.json")["packages"].items():
        if place and not row.get("dev"):
            name = place.rpartition("node_modules/")[2]
            yield name, row["version"], row.get("license", "")


def doubtful(rows: list[tuple[str, str, str]]) -> list[str]:
    """Packages whose licence is unknown, or none of FREE alone."""
    return [name for name, _, licence in rows
            if name not in KNOWN
            and ("GPL" in licence or not any(word in licence for word in FREE))]  # fmt: skip


def main() -> int:
    """See the module's text."""
    parts = {"base install": sorted(installed()), "page": sorted(bundled())}
    write_json(REPORT, {part: [list(row) for row in rows] for part, rows in parts.items()})
    problems = [f"{part}: {name}" for part, rows in parts.items() for name in doubtful(rows)]
    for part, rows in parts.items():
        print(f"{part}: {len(rows)} packages")
    for problem in problems:
        print(f"look at its licence: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
