"""The list of records that do not pass, and why."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from harness.process import ROOT
from harness.slt.records import Place
from harness.slt.run import Outcome

LIST = ROOT / "integration/e2e/slt/skipped.txt"
REASON = re.compile(r"\[(\w+)\] (.+)")
# What the runner itself finds; all other reasons are for records that fail.
RULES = {"data", "plan", "prepared", "writes"}
# Its records run, and may pass or not.
UNSETTLED = "unsettled"
# What nobody has looked at yet.
UNEXPLAINED = "unexplained"

# Records by what came of them, or why that was to be expected; printed when all tests have run.
COUNTS: Counter[str] = Counter()


@dataclass
class Skipped:
    """What `skipped.txt` says."""

    reasons: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    lines: dict[tuple[str, str], list[tuple[int, int, str]]] = field(default_factory=dict)

    def given(self) -> set[str]:
        """Return the reasons that are given for records that fail."""
        return set(self.reasons) - RULES - {UNEXPLAINED}

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


def write(skipped: Skipped, outcomes: Iterable[tuple[Place, Outcome]], path: Path = LIST) -> None:
    """Write the list anew: its comments and reasons as they were, below them what did not pass."""
    ranges: dict[str, dict[str, list[str]]] = {}
    for reason, file, low, high in runs(reasons(skipped, outcomes)):
        span = f"{low}" if low == high else f"{low}-{high}"
        ranges.setdefault(reason, {}).setdefault(file, []).append(span)
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comments) + "\n"
    for reason in skipped.reasons | ranges:
        text += f"\n[{reason}] {skipped.reasons.get(reason, 'look at these')}\n"
        text += "".join(f"{file} *\n" for file, why in skipped.files.items() if why == reason)
        of_files = sorted(ranges.get(reason, {}).items())
        text += "".join(f"{file} {' '.join(dict.fromkeys(spans))}\n" for file, spans in of_files)
    path.write_text(text)


def reasons(
    skipped: Skipped, outcomes: Iterable[tuple[Place, Outcome]]
) -> Iterator[tuple[Place, str | None]]:
    """Find a reason for each record that does not pass; those that set up are left out."""
    for place, outcome in outcomes:
        known = skipped.reason(place)
        if outcome.kind in RULES or known == UNSETTLED:
            yield place, known if known == UNSETTLED else outcome.kind
        elif outcome.kind == "failed":
            yield place, known if known and known not in RULES else UNEXPLAINED
        elif outcome.kind == "passed":
            yield place, None


def runs(places: Iterable[tuple[Place, str | None]]) -> Iterator[tuple[str, str, int, int]]:
    """Join neighbours that have one reason."""
    reason, file, low, high = "", "", 0, 0
    for place, why in places:
        name = f"{place.file}+{place.part}" if place.part else place.file
        if (why, name) == (reason, file) and place.line > high:
            high = place.line
            continue
        if reason:
            yield reason, file, low, high
        reason, file, low, high = why or "", name, place.line, place.line
    if reason:
        yield reason, file, low, high
