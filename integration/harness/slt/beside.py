"""An embedded DataFusion that carries out what a node refuses, and hands it the tables as files."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from datafusion import SessionConfig, SessionContext

QUALIFIED = r'((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))*)'
PART = re.compile(r'"([^"]+)"|(\w+)')
CREATE = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?(?:(?:unbounded|external|temporary|temp|materialized)\s+)*"
    rf"(?:table|view)\s+(?:if\s+not\s+exists\s+)?{QUALIFIED}",
    re.IGNORECASE,
)
INSERT = re.compile(rf"\binsert\s+(?:into|overwrite)\s+(?:table\s+)?{QUALIFIED}", re.IGNORECASE)
LOCATIONS = re.compile(r"\blocation\s+(?:'[^']+'|\([^)]+\))", re.IGNORECASE)
# What a node takes as a name of a dataset.
NAME = re.compile(r"[\w.-]{1,128}", re.ASCII)
OURS = {("public",), ("datafusion", "public"), ()}


def created(sql: str) -> set[str]:
    """Return the tables and views that a statement would make in the default schema."""
    return ours(CREATE, sql)


def filled(sql: str) -> set[str]:
    """Return the tables there that a statement would put rows into."""
    return ours(INSERT, sql)


def ours(pattern: re.Pattern[str], sql: str) -> set[str]:
    """Return the names found that are of the default schema and can be a dataset's."""
    names = set()
    for found in pattern.finditer(sql):
        parts = [quoted or bare.lower() for quoted, bare in PART.findall(found[1])]
        if tuple(parts[:-1]) in OURS and NAME.fullmatch(parts[-1]):
            names.add(parts[-1])
    return names


class Beside:
    """The tables of one file of records."""

    def __init__(self, folders: dict[str, Path]) -> None:
        """Publish tables into the folders of datasets, which are emptied."""
        settings = {"datafusion.execution.target_partitions": "1"}
        self.context = SessionContext(SessionConfig(settings))
        self.folders = folders
        self.published: dict[str, int] = {}
        self.touched: set[str] = set()
        self.version = 0
        self.failed: set[str] = set()

    def run(self, sql: str) -> None:
        """Carry out a statement."""
        self.version += 1
        try:
            expect_files(sql)
            self.context.sql(sql).collect()
        except BaseException:
            self.failed |= created(sql) | filled(sql)
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
            self.touched.add(name)
            self.published.pop(name, None)
            if name in there:
                path = folder / f"{self.version}.parquet"
                self.context.sql(f"COPY (SELECT * FROM \"{name}\") TO '{path}'").collect()
            self.published[name] = self.version

    def close(self) -> None:
        """Leave no table behind."""
        for name in self.touched:
            empty(self.folders[name])


def expect_files(sql: str) -> None:
    """Fail where a table would be of files that are not there, which an engine takes for none."""
    for locations in LOCATIONS.findall(sql):
        for location in re.findall(r"'([^']+)'", locations):
            made_later = location.startswith("test_files/scratch/") and not Path(location).suffix
            if not made_later and not Path(location).exists():
                raise FileNotFoundError(location)


def empty(folder: Path) -> None:
    """Remove what is in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def mentioned(sql: str, names: Iterable[str]) -> list[str]:
    """Return the names that stand in a statement as words."""
    words = set(re.findall(r"\w+", sql.lower()))
    return [name for name in names if set(re.findall(r"\w+", name.lower())) <= words]
