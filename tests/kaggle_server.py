"""A local stand-in for Kaggle: just enough of its web interface for Kaggle's own client.

The client goes to http://localhost (port 80) when KAGGLE_API_ENVIRONMENT is LOCALHOST, and through
`http_proxy` if that is set. So this server plays the proxy on a port that needs no rights, and
answers every request itself. Calls, as kaggle 1.7 (GET) and 2.2 (POST, JSON body) make them:

    1.7  /api/v1/datasets/metadata/OWNER/NAME and /api/v1/datasets/download/OWNER/NAME
    2.2  /api/v1/datasets.DatasetApiService/GetDatasetMetadata and .../DownloadDataset

The download is a redirect to a storage host that knows ranges and asks for no credentials.
"""

import base64
import io
import json
import re
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

HANDLE = "someone/masks"
STORAGE = "http://storage.invalid/"


class KaggleServer(ThreadingHTTPServer):
    """Serves `archives` (handle -> zip bytes) on a free port of this machine.

    Attributes:
        archives: what can be downloaded.
        private: handles that need an account.
        account: (username, key) of the only account.
        cuts: how many of the next transfers break off halfway.
        delay: seconds before a transfer begins.
        requests: (path, Authorization or None, Range or None) of every request so far.
    """

    daemon_threads = True

    def __init__(self, archives: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.archives = archives
        self.private: set[str] = set()
        self.account = ("tester", "0123456789abcdef0123456789abcdef")
        self.cuts = 0
        self.delay = 0.0
        self.requests: list[tuple[str, str | None, str | None]] = []

    def __enter__(self) -> "KaggleServer":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def basic(self) -> str:
        """The Authorization header that the account's credentials make."""
        return "Basic " + base64.b64encode(":".join(self.account).encode()).decode()

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [path for path, _, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: KaggleServer

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        given = self.headers.get("Authorization")
        self.server.requests.append((path, given, self.headers.get("Range")))
        if self.path.startswith(STORAGE):
            return self.send_file(self.server.archives[path[1:]])
        old = re.fullmatch(r"/api/v1/datasets/(metadata|download)/([^/]+/[^/]+)", path)
        new = path.rpartition("/")[2] in ("GetDatasetMetadata", "DownloadDataset")
        if old:
            call, handle = old.groups()
        elif new:
            fields = json.loads(body)
            call = "download" if path.endswith("DownloadDataset") else "metadata"
            handle = f"{fields['ownerSlug']}/{fields['datasetSlug']}"
        else:
            return self.send_json(404, "the stand-in does not know this call")
        anonymous = given is None and handle not in self.server.private
        if not anonymous and given != self.server.basic:
            return self.send_json(401, "Unauthenticated")
        if handle == "someone/secret":
            return self.send_json(403, "Permission 'datasets.get' was denied")
        if handle not in self.server.archives:
            return self.send_json(404, "Not found")
        if call == "metadata":
            return self.send_json(200, info={"licenses": [{"name": "CC0-1.0"}]})
        self.send_response(302)
        self.send_header("Location", STORAGE + handle)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_json(self, code: int, message: str = "", **fields: object) -> None:
        value = {"code": code, "message": message} if message else fields
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_file(self, content: bytes) -> None:
        time.sleep(self.server.delay)
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted:
            start = int(wanted[1])
        self.send_response(206 if wanted else 200)
        if wanted:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()
        rest = content[start:]
        if self.server.cuts > 0:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


def pictures_zip(count: int = 6, seed: int = 0, extra: dict[str, bytes] | None = None) -> bytes:
    """A zip of noise pictures in two class folders, and of `extra` entries."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(count):
            picture = io.BytesIO()
            noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(picture, "PNG")
            label = ("with_mask", "without_mask")[i % 2]
            archive.writestr(f"Set/{label}/{i}.png", picture.getvalue())
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return buffer.getvalue()
