"""Runs the records of a file through a node."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from adbc_driver_flightsql import dbapi
from adbc_driver_manager import AdbcStatement, Error

from harness.slt import values
from harness.slt.beside import Beside, mentioned
from harness.slt.records import Record

IGNORED = "<slt:ignore>"
# What no reader may say: an embedded engine does, and the node reads what comes of it.
WRITES = {
    *("ALTER", "COPY", "CREATE", "DELETE", "DROP", "INSERT", "MERGE"),
    *("RESET", "SET", "TRUNCATE", "UPDATE"),
}
PREPARED = {"PREPARE", "EXECUTE", "DEALLOCATE"}
# How DataFusion's text names the class of an error, which is a kind here.
CLASSES = (
    r"(?:DataFusion error|Error during planning|Execution error|Arrow error|Schema error|"
    r"This feature is not implemented|SQL error|Invalid argument error|External error|"
    r"Internal error|Parser error|Error|type_coercion|Optimizer rule '\w+' failed):? *"
)
CAUSED = re.compile(r"caused by(?:\[\\s\\S\]|\\n|\s)*")
PARSER = re.compile(r'^(?:ParserError|TokenizerError)\("(.*?)"\)$')
PARSER_PATTERN = re.compile(r'^(?:ParserError|TokenizerError)\\?\(\\?"(.*?)(?:\\?"\\?\))?$')
MESSAGE = re.compile(
    r"^(?:\w+: )?(?:\[FlightSQL\] )(.*?)(?: \(\w+; (?:\w|: |endpoint).*)?$", re.DOTALL
)


@dataclass(frozen=True)
class Outcome:
    """What came of a record: `passed`, `set up`, a reason to skip it, or `failed` and how."""

    kind: str
    detail: str = ""


PASSED = Outcome("passed")
SET_UP = Outcome("set up")


def outcomes(
    records: list[Record], beside: Beside, connection: dbapi.Connection
) -> Iterator[tuple[Record, Outcome]]:
    """Run records one after the other."""
    for record in records:
        found = outcome(record, beside, connection)
        if found.kind == "failed" and mentioned(record.sql, beside.failed):
            found = Outcome("data", found.detail)
        yield record, found


def outcome(record: Record, beside: Beside, connection: dbapi.Connection) -> Outcome:
    """Run one record where it can be run."""
    if record.word in WRITES:
        return set_up(record, beside)
    if record.word in PREPARED:
        return Outcome("prepared")
    if record.word == "EXPLAIN":
        return Outcome("plan")
    try:
        beside.publish(record.sql)
    except Exception as error:  # noqa: BLE001  # whatever the embedded engine raises
        return Outcome("failed", f"beside: {error}")
    return answered(record, connection)


def answered(record: Record, connection: dbapi.Connection) -> Outcome:
    """Ask the node and compare what it says."""
    try:
        table = fetched(connection, record.sql)
    except (Error, pa.ArrowException, OSError, KeyError) as error:
        return refused(record, str(error))
    if record.error is not None:
        return Outcome("failed", "no error")
    return compared(record, table) if record.query else PASSED


def fetched(connection: dbapi.Connection, sql: str) -> pa.Table:
    """Fetch all rows; unlike a cursor, without preparing the statement first."""
    with AdbcStatement(connection.adbc_connection) as statement:
        statement.set_sql_query(sql)
        stream, _ = statement.execute_query()
        return pa.RecordBatchReader._import_from_c(stream.address).read_all()  # noqa: SLF001


def set_up(record: Record, beside: Beside) -> Outcome:
    """Carry out what the node would refuse; that it fails where it should is no answer of ours."""
    try:
        beside.run(record.sql)
    except BaseException as error:  # a panic of the engine is no `Exception`
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome("writes" if record.error is not None else "data", str(error))
    return SET_UP if record.error is None else Outcome("writes")


def refused(record: Record, text: str) -> Outcome:
    """Compare an error."""
    found = MESSAGE.match(text)
    said = re.sub(f"^(?:{CLASSES})+", "", found[1] if found else text)
    if record.error is None:
        return Outcome("failed", f"error: {said}")
    expected = ours(record.error, exact=record.whole_error)
    same = expected == said if record.whole_error else re.search(expected, said)
    return PASSED if same else Outcome("failed", f"error: {said}, not {expected}")


def ours(expected: str, *, exact: bool) -> str:
    """Return what is left of an expected error here: its root, of that the first line, no class."""
    expected = CAUSED.split(expected)[-1]
    expected = re.sub(r"\n(Did you mean)", r" \1", expected)
    expected = expected.split("\n")[0] if exact else re.split(r"\\n|\[\\s\\S\]", expected)[0]
    expected = re.sub(f"^(?:{CLASSES})+", "", expected)
    if exact:
        expected = PARSER.sub(r"\1", expected)
        return expected.replace(", found: EOF", ", found nothing at its end")
    return PARSER_PATTERN.sub(r"\1", expected).replace(", found: EOF", ", found nothing at its end")


def compared(record: Record, table: pa.Table) -> Outcome:
    """Compare types and rows."""
    try:
        letters = values.type_letters(table.schema)
        rows = values.rows(table)
    except Exception as error:  # noqa: BLE001  # what pyarrow cannot read
        return Outcome("failed", f"unreadable: {error!r}")
    if not rows and not letters and not record.rows:
        return PASSED
    # Letters that mean no type of DataFusion's stand for any other type.
    wanted = "".join(one if one in values.LETTERS else "?" for one in record.types)
    if letters != wanted:
        return Outcome("failed", f"types {letters}, not {wanted}")
    if record.sort == "rowsort":
        rows.sort()
    elif record.sort == "valuesort":
        rows = sorted([one] for row in rows for one in row)
    if 0 < record.hash_threshold < sum(map(len, rows)):
        rows = [[hashed(rows)]]
    lines = [" ".join(row).rstrip() for row in rows]
    expected = [line.rstrip() for line in record.rows]
    if any(IGNORED in line for line in expected):
        same = fragments("\n".join(expected), "\n".join(lines))
    elif ordered(record.sql):
        same = lines == expected
    else:
        same = sorted(lines) == sorted(expected)
    return PASSED if same else Outcome("failed", f"rows {differing(lines, expected)}")


def ordered(sql: str) -> bool:
    """Whether a statement says in which order its rows come; without that, any will do."""
    inner = re.compile(r"\([^()]*\)")
    while inner.search(sql):
        sql = inner.sub("", sql)
    return (
        re.search(r"\border\s+by\b|\|>|^\s*(?:explain|show|describe)\b", sql, re.IGNORECASE)
        is not None
    )


def hashed(rows: list[list[str]]) -> str:
    """Return what stands for many values."""
    digest = hashlib.md5("".join(f"{one}\n" for row in rows for one in row).encode()).hexdigest()
    return f"{sum(map(len, rows))} values hashing to {digest}"


def fragments(expected: str, actual: str) -> bool:
    """Whether what stands between ignored parts follows one another."""
    at = 0
    for number, fragment in enumerate(expected.split(IGNORED)):
        found = actual.find(fragment, at)
        if found < 0 or (number == 0 and found > 0):
            return False
        at = found + len(fragment)
    return True


def differing(lines: list[str], expected: list[str]) -> str:
    """Return the first line that differs."""
    for line, other in zip(lines, expected, strict=False):
        if line != other:
            return f"{line!r}, not {other!r}"
    return f"{len(lines)}, not {len(expected)}"
