"""An embedded DataFusion that carries out what a node refuses, and hands it the tables as files."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from datafusion import SessionConfig, SessionContext

CREATE = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?(?:(?:unbounded|external|temporary|temp|materialized)\s+)*"
    r"(?:table|view)\s+(?:if\s+not\s+exists\s+)?"
    r'((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))*)',
    re.IGNORECASE,
)
LOCATION = re.compile(r"\blocation\s+'([^']+)'", re.IGNORECASE)
# What a node takes as a name of a dataset.
NAME = re.compile(r"[\w.-]{1,128}", re.ASCII)
OURS = {("public",), ("datafusion", "public"), ()}


def created(sql: str) -> set[str]:
    """Return the tables and views that a statement would make in the default schema."""
    names = set()
    for found in CREATE.finditer(sql):
        parts = [quoted or bare.lower() for quoted, bare in PART.findall(found[1])]
        if tuple(parts[:-1]) in OURS and NAME.fullmatch(parts[-1]):
            names.add(parts[-1])
    return names


PART = re.compile(r'"([^"]+)"|(\w+)')


class Beside:
    """The tables of one file of records."""

    def __init__(self, folders: dict[str, Path]) -> None:
        """Publish tables into the folders of datasets, which are emptied."""
        settings = {"datafusion.execution.target_partitions": "1"}
        self.context = SessionContext(SessionConfig(settings))
        self.folders = folders
        self.published: dict[str, int] = {}
        self.version = 0
        self.failed: set[str] = set()

    def run(self, sql: str) -> None:
        """Carry out a statement."""
        self.version += 1
        try:
            for location in LOCATION.findall(sql):
                # An engine takes a place that is not there for a table without rows.
                if not Path(location).exists() and not location.startswith("test_files/scratch/"):
                    raise FileNotFoundError(location)
            self.context.sql(sql).collect()
        except BaseException:
            self.failed |= created(sql)
            raise
        self.failed -= created(sql)

    def tables(self) -> set[str]:
        """Return what there is in the default schema."""
        return set(self.context.catalog().schema("public").names())

    def publish(self, sql: str) -> None:
        """Let the datasets that a query may read hold what the tables hold."""
        there = self.tables()
        for name in mentioned(sql, there | set(self.published)):
            if self.published.get(name) == self.version or name not in self.folders:
                continue
            folder = self.folders[name]
            empty(folder)
            self.published[name] = self.version
            if name in there:
                path = folder / f"{self.version}.parquet"
                self.context.sql(f"COPY (SELECT * FROM \"{name}\") TO '{path}'").collect()

    def close(self) -> None:
        """Leave no table behind."""
        for name in self.published:
            empty(self.folders[name])


def empty(folder: Path) -> None:
    """Remove what is in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def mentioned(sql: str, names: Iterable[str]) -> list[str]:
    """Return the names that stand in a statement as words."""
    words = set(re.findall(r"\w+", sql.lower()))
    return [name for name in names if set(re.findall(r"\w+", name.lower())) <= words]
