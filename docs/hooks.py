"""For MkDocs: pages from outside docs/, and links as they are right both on a disk and in the site.

In the files links lead to other files of the project. In the site they lead to a page where there
is one, else to the project's address, and are plain words while it has none.
"""

import json
import os
import posixpath
import re
import tempfile
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent

# File of the project -> its place in the site.
OUTSIDE = {"models/release/README.md": "model-card.md", "CONTRIBUTING.md": "contributing.md"}
OUTSIDE |= {f"notebooks/{p.name}": f"notebooks/{p.name}" for p in ROOT.glob("notebooks/0*.ipynb")}
OUTSIDE |= {f"web/screenshots/{p.name}": f"screenshots/{p.name}"
            for p in ROOT.glob("web/screenshots/*.png")}
COPIES = tempfile.TemporaryDirectory()
INSIDE = {place: name for name, place in OUTSIDE.items()}


def repository() -> str:
    """The project's address; empty until it is published."""
    text = (ROOT / "facemask" / "notebooks.py").read_text(encoding="utf-8")
    return re.search(r'^REPOSITORY = "(.*)"$', text, re.MULTILINE)[1]


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files, config):
    for name, place in OUTSIDE.items():
        if place.endswith(".ipynb"):  # mkdocs-jupyter asks for the folder that they lie in
            folder = _valid_copy(ROOT / name, place)
            file = File(place, folder, config.site_dir, config.use_directory_urls)
        else:
            file = File.generated(config, place, abs_src_path=os.fspath(ROOT / name))
        files.append(file)
    return files


def on_post_build(config):
    COPIES.cleanup()


def _valid_copy(notebook: Path, place: str) -> str:
    """A copy as nbconvert wants it: it insists on the counters that are not committed."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "execute_result":
                output.setdefault("execution_count", None)
    copy = Path(COPIES.name, place)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(content), encoding="utf-8")
    return COPIES.name


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri
    source = INSIDE.get(here, f"docs/{here}")

    def place_of(target: str) -> str | None:
        """Where a link leads in the site, from here; None if it leads out of it."""
        path, _, anchor = target.partition("#")
        name = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = OUTSIDE.get(name) or (name[5:] if name.startswith("docs/") else None)
        if place is None:
            return None
        end = f"#{anchor}" if anchor else ""
        return posixpath.relpath(place, posixpath.dirname(here) or ".") + end

    def link(match: re.Match) -> str:
        text, target = match[1], match[2]
        place = place_of(target)
        if place:
            return f"[{text}]({place})"
        name = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / name.partition("#")[0]).exists():
            return match[0]  # MkDocs will say so
        return f"[{text}]({repository()}/blob/HEAD/{name})" if repository() else f"`{text}`"

    markdown = re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s]+)\)", link, markdown)
    return re.sub(r'src="([^":]+)"', lambda m: f'src="{place_of(m[1]) or m[1]}"', markdown)
