"""The list of records that do not pass, and why."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from harness.process import ROOT
from harness.slt.records import Place

LIST = ROOT / "integration/e2e/slt/skipped.txt"
REASON = re.compile(r"\[(\w+)\] (.+)")
# What the runner itself finds; all other reasons are for records that fail.
RULES = {"data", "plan", "prepared", "writes"}
# Its records run, and may pass or not.
UNSETTLED = "unsettled"


@dataclass
class Skipped:
    """What `skipped.txt` says."""

    reasons: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    lines: dict[tuple[str, str], list[tuple[int, int, str]]] = field(default_factory=dict)

    def whole(self, name: str) -> str | None:
        """Return why a file is not run at all."""
        return next((why for file, why in self.files.items() if fnmatch(name, file)), None)

    def reason(self, place: Place) -> str | None:
        """Return why a record is skipped."""
        ranges = self.lines.get((place.file, place.part), [])
        return next((why for low, high, why in ranges if low <= place.line <= high), None)


def read(path: Path = LIST) -> Skipped:
    """Read the list: reasons, and below each the files and lines that it is for."""
    skipped = Skipped()
    reason = ""
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if found := REASON.fullmatch(line):
            reason = found[1]
            skipped.reasons[reason] = found[2]
            continue
        name, *ranges = line.split()
        if ranges == ["*"]:
            skipped.files[name] = reason
            continue
        file, _, part = name.partition("+")
        known = skipped.lines.setdefault((file, part), [])
        for low, _, high in (one.partition("-") for one in ranges):
            known.append((int(low), int(high or low), reason))
    return skipped


def write(skipped: Skipped, places: Iterable[tuple[Place, str | None]], path: Path = LIST) -> None:
    """Write the list anew: its comments and reasons as they were, every record with its reason."""
    ranges: dict[str, dict[str, list[str]]] = {}
    for reason, file, low, high in runs(places):
        span = f"{low}" if low == high else f"{low}-{high}"
        ranges.setdefault(reason, {}).setdefault(file, []).append(span)
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comments) + "\n"
    for reason, prose in skipped.reasons.items():
        text += f"\n[{reason}] {prose}\n"
        text += "".join(f"{file} *\n" for file, why in skipped.files.items() if why == reason)
        of_files: Mapping[str, list[str]] = ranges.get(reason, {})
        text += "".join(f"{file} {' '.join(spans)}\n" for file, spans in sorted(of_files.items()))
    path.write_text(text)


def runs(places: Iterable[tuple[Place, str | None]]) -> Iterable[tuple[str, str, int, int]]:
    """Join neighbours that have one reason."""
    open_: tuple[str, str, int, int] | None = None
    for place, reason in places:
        file = f"{place.file}+{place.part}" if place.part else place.file
        if open_ and open_[:2] == (reason, file) and place.line > open_[3]:
            open_ = (*open_[:3], place.line)
            continue
        if open_:
            yield open_
        open_ = (reason, file, place.line, place.line) if reason else None
    if open_:
        yield open_
