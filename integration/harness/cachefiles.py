"""The files of a node's disk tier, and ways to damage them."""

import re
from collections.abc import Callable
from pathlib import Path

NAME = re.compile(r"[0-9a-f]{32}")
SNAPSHOT = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}")


def chunks(folder: Path) -> list[Path]:
    """Return the files of chunks."""
    found = folder.glob("v*/??/*")
    return sorted(path for path in found if NAME.fullmatch(path.name))


def leftovers(folder: Path) -> list[Path]:
    """Return the files that are none of a chunk or a snapshot."""
    snapshots = [path for path in folder.glob("snapshots/*") if SNAPSHOT.fullmatch(path.name)]
    expected = {folder / "LOCK", *chunks(folder), *snapshots}
    return [path for path in folder.rglob("*") if path.is_file() and path not in expected]


def overwrite(path: Path, data: bytes) -> None:
    """Put other bytes in a file's place; the file itself is read-only."""
    path.unlink()
    path.write_bytes(data)


def flipped(data: bytes) -> bytes:
    """Flip a bit somewhere in the middle."""
    at = len(data) * 2 // 3
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


# What becomes of a file's bytes; `None` puts those of another file there.
DAMAGES: list[Callable[[bytes], bytes] | None] = [
    flipped,
    lambda data: data[: len(data) // 2],
    lambda data: bytes(len(data)),
    lambda _: b"",
    None,
]


def damage(paths: list[Path], turn: int) -> list[Path]:
    """Give each file one damage, another one each turn; return the files that are damaged."""
    good = {path: path.read_bytes() for path in paths}
    done = []
    for index, path in enumerate(paths):
        how = DAMAGES[(index + turn) % len(DAMAGES)]
        other = good[paths[index - 1]]
        overwrite(path, how(good[path]) if how else other)
        done.append(path)
    return done
