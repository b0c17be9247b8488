"""Files of records as the sqllogictest crate reads them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ENGINE = {"datafusion"}
SORT_MODES = {"nosort", "rowsort", "valuesort"}
DELIMITER = "----"
FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n?|/\*.*?\*/|\()*([A-Za-z_]+)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a record stands: the file that was run, the part of it that was included, the line."""

    file: str
    part: str
    line: int


@dataclass
class Record:
    """A statement, and what is to come of it."""

    place: Place
    sql: str
    query: bool
    types: str = ""
    sort: str = "nosort"
    rows: list[str] = field(default_factory=list)
    error: str | None = None
    whole_error: bool = False
    count: int | None = None
    hash_threshold: int = 0

    @property
    def word(self) -> str:
        """The first word of the statement, in capitals."""
        found = FIRST_WORD.match(self.sql)
        return found[1].upper() if found else ""


def read(root: Path, name: str) -> list[Record]:
    """Read a file below `root` and what it includes."""
    return list(Reader(root, name).records(root / name, ""))


class Reader:
    """The state that goes from one record to the next."""

    def __init__(self, root: Path, name: str) -> None:
        """Read as `name`."""
        self.root, self.name = root, name
        self.sort = "nosort"
        self.hash_threshold = 0
        self.skips = False

    def records(self, path: Path, part: str) -> Iterator[Record]:
        """Read one file; those that it includes in their places."""
        lines = Lines(path.read_text())
        while (line := lines.next()) is not None:
            words = line.split()
            if line.startswith("#") or not words:
                continue
            at = Place(self.name, part, lines.at)
            match words:
                case ["include", pattern]:
                    for included in sorted(path.parent.glob(pattern)):
                        yield from self.records(included, str(included.relative_to(path.parent)))
                case ["halt"]:
                    return
                case ["statement" | "query" as kind, *rest]:
                    record = self.record(at, lines, rest, query=kind == "query")
                    if not self.skips:
                        yield record
                    self.skips = False
                case _:
                    self.control(at, words)

    def control(self, at: Place, words: list[str]) -> None:
        """Read what changes how the records that follow are read."""
        match words:
            case ["skipif" | "onlyif" as kind, label]:
                self.skips |= (label.lower() in ENGINE) == (kind == "skipif")
            case ["control", "sortmode", mode]:
                self.sort = mode
            case ["hash-threshold", number]:
                self.hash_threshold = int(number)
            case _:
                raise ValueError(f"{at}: {words} is not known")

    def record(self, at: Place, lines: "Lines", rest: list[str], *, query: bool) -> Record:
        """Read what follows the first line of a record."""
        record = Record(at, "", query, sort=self.sort, hash_threshold=self.hash_threshold)
        match rest:
            case ["error", *words]:
                record.error = " ".join(words)
            case ["count", number]:
                record.count = int(number)
            case ["ok"] if not query:
                pass
            case [types, *more] if query:
                record.types = types
                if more and more[0] in SORT_MODES:
                    record.sort = more[0]
            case []:
                pass
            case _:
                raise ValueError(f"{at}: {rest} is not known")
        record.sql, delimited = lines.statement()
        if delimited and record.error is not None:
            record.error, record.whole_error = lines.message(), True
        elif delimited:
            record.rows = lines.results()
        return record


class Lines:
    """The lines of a file, one after the other."""

    def __init__(self, text: str) -> None:
        """Start before the first."""
        self.lines = [line.removesuffix("\r") for line in text.split("\n")]
        self.at = 0

    def next(self) -> str | None:
        """Return the next, or nothing at the end."""
        if self.at == len(self.lines):
            return None
        self.at += 1
        return self.lines[self.at - 1]

    def statement(self) -> tuple[str, bool]:
        """Return the lines up to an empty one or a delimiter, and whether it was that."""
        found: list[str] = []
        while (line := self.next()) is not None:
            if (not line and found) or (line == DELIMITER and found):
                return "\n".join(found), line == DELIMITER
            found.append(line)
        return "\n".join(found), False

    def results(self) -> list[str]:
        """Return the lines up to an empty one."""
        found = []
        while line := self.next():
            found.append(line)
        return found

    def message(self) -> str:
        """Return the lines up to two empty ones."""
        found: list[str] = []
        while (line := self.next()) is not None:
            if not line and (self.at == len(self.lines) or not self.lines[self.at]):
                break
            found.append(line)
        return "\n".join(found).strip()
