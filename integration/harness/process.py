"""Child processes that are always ended."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"


@contextmanager
def spawned(command: list[str], log: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `log` until the block ends."""
    with (
        log.open("wb") as output,
        subprocess.Popen(  # type: ignore[call-overload]
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        ) as child,
    ):
        try:
            yield child
        finally:
            stop(child)


def stop(child: subprocess.Popen[bytes], grace_s: float = 5) -> None:
    """Ask `child` to end, and end it."""
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    child.kill()
    child.wait()


def poll(what: str, ask: Callable[[], T | None], deadline_s: float = 20) -> T:
    """Ask until the answer is true; fail naming `what` after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {deadline_s} s, last answer {answer!r}")
        time.sleep(0.02)
