"""A web server of files that may change, which gives strong ETags, weak ones, or none."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Etags = Literal["strong", "weak", "none"]


class Web(ThreadingHTTPServer):
    """Serves `files`; each request sees one file whole, though not the next one's."""

    daemon_threads = True

    def __init__(self, etags: Etags) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Answer)
        self.etags = etags
        self.files: dict[str, tuple[bytes, float]] = {}
        self.reads = 0

    def put(self, name: str, data: bytes, modified_s: float) -> None:
        """Write a file, as of a time in seconds since 1970."""
        self.files[name] = (data, modified_s)

    def url(self, name: str) -> str:
        """Return a file's URL."""
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def etag(self, data: bytes) -> str | None:
        """Return a file's ETag."""
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        return {"strong": tag, "weak": f"W/{tag}", "none": None}[self.etags]

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet when a client goes away."""


class Answer(BaseHTTPRequestHandler):
    """Answers HEAD and ranged GET."""

    protocol_version = "HTTP/1.1"
    server: Web

    def do_GET(self) -> None:
        """Send a file or a part of it."""
        found = self.server.files.get(self.path.lstrip("/"))
        if found is None:
            self.reply(404, b"", {})
            return
        data, modified_s = found
        headers = {"last-modified": formatdate(modified_s, usegmt=True)}
        etag = self.server.etag(data)
        if etag:
            headers["etag"] = etag
        wanted = self.headers.get("if-match")
        if wanted and wanted != etag:
            self.reply(412, b"", headers)
            return
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range") or "")
        status = 200
        if span:
            first, last = int(span[1]), min(int(span[2]), len(data) - 1)
            headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
            status, data = 206, data[first : last + 1]
        self.server.reads += self.command == "GET"
        self.reply(status, data, headers)

    do_HEAD = do_GET  # noqa: N815

    def reply(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        """Send an answer; of HEAD, its head."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@contextmanager
def web(etags: Etags) -> Iterator[Web]:
    """Run a server."""
    with Web(etags) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
