"""An HTTP proxy in front of a store: counts what passes, holds it back, cuts it off.

What else may go wrong with an origin is in `harness.trouble`.
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from urllib.parse import unquote, urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "proxy-connection"}


@dataclass(frozen=True)
class Seen:
    """One request that passed; `status` 0: it got no answer."""

    method: str
    path: str
    range: str
    if_match: str
    status: int
    bytes: int
    at: float = field(default_factory=time.monotonic)

    def span(self) -> tuple[int, int]:
        """Return the first and the last byte it asked for."""
        first, _, last = self.range.removeprefix("bytes=").partition("-")
        return int(first), int(last)

    @property
    def is_data(self) -> bool:
        """Whether it read an object's bytes."""
        listing = "comp=list" in self.path or "list-type" in self.path
        return self.method == "GET" and not listing


class Proxy(ThreadingHTTPServer):
    """Forwards to one store; `seen` grows with each answered request."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, target: str) -> None:
        """Listen on a free port in front of `target`."""
        super().__init__(("127.0.0.1", 0), Forward)
        self.target = target.removeprefix("http://")
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.seen: list[Seen] = []
        self.waiting = 0
        self.answer_with: int | None = None
        self.open = threading.Event()
        self.open.set()
        self.up = True
        self.trouble: Trouble | None = None
        self.hanging = 0
        self.released = threading.Event()

    def data(self) -> list[Seen]:
        """Return the data reads so far."""
        return [one for one in self.seen if one.is_data]

    def read_twice(self) -> list[tuple[str, int, int]]:
        """Return the byte ranges, ends included, of which some byte was asked for before.

        Reads of footers are left out: they guess a length, and may take data with it.
        """
        spans = sorted((one.path, *one.span()) for one in self.data())
        ends = {path: last for path, _, last in sorted(spans, key=lambda span: span[2])}
        reads = [span for span in spans if span[2] < ends[span[0]]]
        return [
            after
            for before, after in pairwise(reads)
            if after[0] == before[0] and after[1] <= before[2]
        ]

    def ranges(self) -> Counter[tuple[str, str]]:
        """Count data reads by object and range."""
        return Counter((unquote(urlsplit(one.path).path), one.range) for one in self.data())

    def forget(self) -> None:
        """Start counting anew."""
        self.seen = []

    @contextmanager
    def held(self) -> Iterator[threading.Event]:
        """Hold data reads back until the yielded event is set or the block ends."""
        self.open.clear()
        try:
            yield self.open
        finally:
            self.open.set()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Drop every connection without an answer."""
        self.up = False
        try:
            yield
        finally:
            self.up = True

    @contextmanager
    def answering(self, status: int) -> Iterator[None]:
        """Answer every request with `status`."""
        self.answer_with = status
        try:
            yield
        finally:
            self.answer_with = None

    @contextmanager
    def troubled(self, trouble: "Trouble") -> Iterator[None]:
        """Ask `trouble` before each request is sent on; what hangs ends with the block."""
        self.trouble = trouble
        self.released.clear()
        try:
            yield
        finally:
            self.trouble = None
            self.released.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet when a client goes away."""


@dataclass
class Answer:
    """What the store said, to be passed on; `rate` in bytes a second, None: at once."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    data: bytes
    length: int
    rate: float | None = None


class Forward(BaseHTTPRequestHandler):
    """Forwards one connection's requests over one connection to the target."""

    protocol_version = "HTTP/1.1"
    server: Proxy
    upstream: HTTPConnection | None = None
    body: bytes | None = None

    def forward(self) -> None:
        """Send the request on and the answer back."""
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
        if self.server.answer_with:
            self.refuse(self.server.answer_with)
            return
        if self.command == "GET" and self.headers.get("range"):
            self.server.waiting += 1
            self.server.open.wait(60)
        if not self.server.up:
            self.drop()
            return
        if self.server.trouble and self.server.trouble(self):
            return
        self.send(self.ask())

    def ask(self) -> Answer:
        """Get the store's answer."""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        for attempt in (1, 2):
            if self.upstream is None:
                self.upstream = HTTPConnection(self.server.target, timeout=60)
            try:
                self.upstream.request(self.command, self.path, self.body, headers)
                answer = self.upstream.getresponse()
                break
            except (HTTPException, ConnectionError):  # an idle connection was closed
                self.upstream.close()
                self.upstream = None
                if attempt == 2:
                    raise
        data = answer.read()
        length = answer.headers.get("content-length") if self.command == "HEAD" else len(data)
        skip = HOP_BY_HOP | {"content-length"}
        passed = [(k, v) for k, v in answer.headers.items() if k.lower() not in skip]
        return Answer(answer.status, answer.reason, passed, data, int(length or 0))

    def send(self, answer: Answer) -> None:
        """Send `answer` and count it; a body that is shorter than it says ends the connection."""
        self.note(answer.status, len(answer.data))
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("content-length", str(answer.length))
        self.end_headers()
        step = int(answer.rate / 10) if answer.rate else len(answer.data) or 1
        for start in range(0, len(answer.data), step):
            if answer.rate and self.server.released.wait(0.1):
                self.close_connection = True
                return
            self.wfile.write(answer.data[start : start + step])
        if self.command != "HEAD" and answer.length != len(answer.data):
            self.close_connection = True

    def refuse(self, status: int, **headers: str) -> None:
        """Answer with a bare status."""
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.send(Answer(status, "", named, b"", 0))

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.note(0, 0)
        self.close_connection = True

    def reset(self) -> None:
        """Reset the connection."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PROPFIND = forward  # noqa: N815

    def note(self, status: int, length: int) -> None:
        """Count the request."""
        span = self.headers.get("x-ms-range") or self.headers.get("range") or ""
        match = self.headers.get("if-match") or ""
        self.server.seen.append(Seen(self.command, self.path, span, match, status, length))

    def log_message(self, *_: object) -> None:
        """Write no access log."""


# Looks at a request before it is sent on; true if it has answered, or will not.
Trouble = Callable[[Forward], bool]


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """Run a proxy in front of `target`."""
    with Proxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.released.set()
            proxy.shutdown()
