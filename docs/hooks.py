"""For MkDocs: pages from outside docs/, and links as they are right both on a disk and in the site.

In the files links lead to other files of the project. In the site they lead to a page where there
is one, else to the project's address, and are plain words while it has none.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

from facemask.pages.fill import repository

ROOT = Path(__file__).resolve().parent.parent

# File of the project -> its place in the site.
OUTSIDE = {"models/release/README.md": "model-card.md", "models/finder/README.md": "finder-card.md",
           "CONTRIBUTING.md": "contributing.md"}
OUTSIDE |= {f"notebooks/{p.name}": f"notebooks/{p.name}" for p in ROOT.glob("notebooks/0*.ipynb")}
OUTSIDE |= {f"web/screenshots/{p.name}": f"screenshots/{p.name}"
            for p in ROOT.glob("web/screenshots/*.png")}
INSIDE = {place: name for name, place in OUTSIDE.items()}


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files, config):
    for name, place in OUTSIDE.items():
        if place.endswith(".ipynb"):  # mkdocs-jupyter asks for the folder that they lie in
            file = File(place, os.fspath(ROOT), config.site_dir, config.use_directory_urls)
        else:
            file = File.generated(config, place, abs_src_path=os.fspath(ROOT / name))
        files.append(file)
    return files


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
