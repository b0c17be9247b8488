"""A TCP proxy in front of a node: counts what passes to clients, holds it back, cuts it off."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 16 * 1024
RESET = struct.pack("ii", 1, 0)


@dataclass
class Limit:
    """How many more bytes pass to clients before something happens."""

    left: int
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    cuts: bool = False


class Wire:
    """Listens on a port that stays, whichever node is behind it."""

    def __init__(self) -> None:
        """Listen on a free port, with nothing behind it yet."""
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"grpc://127.0.0.1:{self.port}"
        self.target: tuple[str, int] | None = None
        self.passed = 0
        self.connections = 0
        self.limit: Limit | None = None
        self.each: int | None = None
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()

    def to(self, flight: str) -> None:
        """Lead to the node that listens at `flight`, and end what leads elsewhere."""
        host, port = flight.split("//")[1].split(":")
        self.target = (host, int(port))
        with self.lock:
            for client in self.open:
                wake(client)

    @contextmanager
    def cut(self, after: int = 0) -> Iterator[Limit]:
        """Reset connections once `after` more bytes have passed, and every new one then."""
        with self.limited(Limit(after, cuts=True)) as limit:
            yield limit

    @contextmanager
    def held(self, after: int = 0) -> Iterator[Limit]:
        """Let nothing pass once `after` more bytes have, until released or the block ends."""
        with self.limited(Limit(after)) as limit:
            yield limit

    @contextmanager
    def rough(self, each: int) -> Iterator[None]:
        """Reset every connection once it has passed `each` bytes; new ones may come."""
        self.each = each
        try:
            yield
        finally:
            self.each = None

    @contextmanager
    def limited(self, limit: Limit) -> Iterator[Limit]:
        """Put a limit on what passes for a while."""
        self.limit = limit
        try:
            yield limit
        finally:
            self.limit = None
            limit.released.set()

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client: socket.socket) -> None:
        """Join a client to the node; reset it where that is not there."""
        self.connections += 1
        limit = self.limit
        if limit and limit.cuts and limit.left <= 0:
            limit.reached.set()
            reset(client)
            return
        try:
            node = socket.create_connection(self.target or ("127.0.0.1", 0), timeout=5)
        except OSError:
            reset(client)
            return
        node.settimeout(None)
        with self.lock:
            self.open.add(client)
        back = threading.Thread(target=self.pump, args=(node, client), daemon=True)
        back.start()
        forward(client, node)
        back.join()
        with self.lock:
            self.open.discard(client)

    def pump(self, node: socket.socket, client: socket.socket) -> None:
        """Send what the node says to the client, as far as the limit lets it."""
        with suppress(OSError):
            given = 0
            while data := node.recv(CHUNK):
                given += len(data)
                if not self.admit(len(data)) or given > (self.each or given):
                    reset(client)
                    reset(node)
                    return
                client.sendall(data)
        close(client)
        close(node)

    def admit(self, size: int) -> bool:
        """Count bytes; wait where they are held back; whether they may pass."""
        with self.lock:
            self.passed += size
            limit = self.limit
            if limit is None:
                return True
            limit.left -= size
            over = limit.left < 0
        if over:
            limit.reached.set()
            if limit.cuts:
                return False
            limit.released.wait()
        return True


def forward(client: socket.socket, node: socket.socket) -> None:
    """Send what the client says to the node."""
    with suppress(OSError):
        while data := client.recv(CHUNK):
            node.sendall(data)
    close(node)
    close(client)


def wake(end: socket.socket) -> None:
    """End both directions, which wakes whoever waits."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def close(end: socket.socket) -> None:
    """End a connection."""
    wake(end)
    end.close()


def reset(end: socket.socket) -> None:
    """Reset a connection."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RD)
    end.close()


@contextmanager
def wired() -> Iterator[Wire]:
    """Run a proxy."""
    wire = Wire()
    threading.Thread(target=wire.serve, daemon=True).start()
    try:
        yield wire
    finally:
        wire.listener.close()
