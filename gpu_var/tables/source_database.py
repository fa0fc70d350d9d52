"""Sources that are a database's answer to a query, through ADBC: written to a file here, batch by batch, and hashed."""

import contextlib
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa

from gpu_var.tables.config_sources import Source
from gpu_var.tables.findings import Findings, escaped
from gpu_var.tables.schema import Table
from gpu_var.tables.source_answer import AnswerError, write_answer
from gpu_var.tables.source_files import Fetched, Halt, Part, Spool, SpoolError
from gpu_var.tables.source_secrets import without_secrets

_SQLITE_ROWS = 1 << 20  # from which the driver tells the types of columns that have none
_PATIENCE = 30  # seconds to connect
_PACKAGES = {"postgresql": "adbc-driver-postgresql", "sqlite": "adbc-driver-sqlite", "duckdb": "duckdb"}
_EXAMPLES = {
    "postgresql": "postgresql://user:password@host:5432/database",
    "sqlite": "the path of a database file",
    "duckdb": "the path of a database file",
}


class _RefusedError(Exception):
    """A finding: the message is its text."""


def fetch_queries(
    tables: dict[str, tuple[Table, Source]], book: Path, spool: Spool, findings: Findings, halt: Halt
) -> dict[str, Fetched]:
    """The answers to the queries of several tables; a finding for each that there is none of.

    Tables of one PostgreSQL database are read in one read-only transaction: they are of the same moment.
    """
    by_place: dict[tuple[str, str], list[tuple[Table, Source]]] = {}
    out: dict[str, Fetched] = {}
    for table, source in tables.values():
        try:
            uri = _uri(source, book)
            by_place.setdefault((source.database or "", uri), []).append((table, source))
        except _RefusedError as error:
            findings.error(_label(table), str(error), kind="source")
    for (database, uri), wanted in by_place.items():
        try:
            with _connection(database, uri, wanted[0][1]) as connection:
                for table, source in wanted:
                    try:
                        out[table.name] = _answer(connection, table, source, uri, spool, findings, halt)
                    except _RefusedError as error:
                        findings.error(_label(table), str(error), kind="source")
                        _begin(connection, database, uri, again=True)
        except _RefusedError as error:
            for table, _ in wanted:
                if table.name not in out:
                    findings.error(_label(table), str(error), kind="connection")
    return out


def _label(table: Table) -> str:
    return f"{table.name} (query)"


def _uri(source: Source, book: Path) -> str:
    """Where the database is; the path of a file where it is one."""
    database = source.database or ""
    uri = source.uri or os.environ.get(source.variable, "")
    if not uri:
        text = f"the environment variable {source.variable} is not set; expected in it {_EXAMPLES[database]}"
        raise _RefusedError(text)
    if database == "postgresql":
        return uri
    if re.match(r"(file|sqlite|duckdb):", uri):
        uri = unquote(urlsplit(uri).path)
    path = os.path.abspath(book / uri)  # noqa: PTH100 - links stay
    if not Path(path).is_file():  # a driver would make one
        raise _RefusedError(f"no such file: {escaped(without_secrets(path, uri), 300)}; expected {_EXAMPLES[database]}")
    return path


@contextlib.contextmanager
def _connection(database: str, uri: str, source: Source) -> Iterator[Any]:
    """An open connection that reads only."""
    package = _PACKAGES[database]
    try:
        manager = import_module("adbc_driver_manager.dbapi")
        driver = import_module("adbc_driver_duckdb" if database == "duckdb" else package.replace("-", "_") + ".dbapi")
    except ModuleNotFoundError as error:
        text = f"the package {package} is missing, which reads {database}; expected: pip install 'gpu-var[sources]'"
        raise _RefusedError(text) from error
    try:
        if database == "postgresql":
            connection = driver.connect(_patient(uri))
        elif database == "sqlite":
            connection = driver.connect(f"file:{quote(uri)}?mode=ro")
        else:
            connection = manager.connect(
                driver=driver.driver_path(),
                entrypoint="duckdb_adbc_init",
                db_kwargs={"path": uri, "access_mode": "READ_ONLY"},
                autocommit=True,
            )
    except manager.Error as error:
        where = "in uri" if source.uri is not None else f"in the environment variable {source.variable}"
        expected = f"a database that answers, and its URI {where}, as in {_EXAMPLES[database]}"
        raise _RefusedError(f"cannot connect ({_said(error, uri)}); expected {expected}") from error
    with contextlib.closing(connection):
        _begin(connection, database, uri)
        yield connection


def _begin(connection: Any, database: str, uri: str, again: bool = False) -> None:
    """Begin PostgreSQL's transaction, anew after an error; the others are open for reading only anyway."""
    if database != "postgresql":
        return
    try:
        if again:
            connection.rollback()
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read read only")
    except _error() as error:
        raise _RefusedError(
            f"the connection is lost ({_said(error, uri)}); expected a database that answers"
        ) from error


def _patient(uri: str) -> str:
    """With an end to waiting for a server that does not answer; libpq has none unless it is told."""
    if "connect_timeout" in uri or "PGCONNECT_TIMEOUT" in os.environ:
        return uri
    if "://" not in uri:
        return f"{uri} connect_timeout={_PATIENCE}"
    return f"{uri}{'&' if '?' in uri else '?'}connect_timeout={_PATIENCE}"


def _said(error: BaseException, uri: str) -> str:
    """A driver's message in a line, without credentials and without the query, which the user knows."""
    text = re.split(r"\n?Query was:|\nquery:", str(error))[0]
    text = re.sub(r"^[A-Z_]+: (\[\w+\] )?", "", " ".join(text.split())).rstrip(" .")
    return escaped(without_secrets(text, uri), 300)


def _answer(
    connection: Any, table: Table, source: Source, uri: str, spool: Spool, findings: Findings, halt: Halt
) -> Fetched:
    """One query's answer. Text in the place of times stays text where the database has no type for times."""
    query = (source.query or "").strip().rstrip(";").rstrip()
    label, file = _label(table), spool.path / f"{table.name}.arrow"
    untyped = source.database == "sqlite"
    try:
        with connection.cursor() as cursor, halt.cancelling(cursor.adbc_cancel):
            if untyped:
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_SQLITE_ROWS)})
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            digest = write_answer(file, table, reader.schema, reader, untyped=untyped)
    except AnswerError as error:
        raise _RefusedError(str(error)) from error
    except SpoolError:
        raise
    except (_error(), pa.ArrowException, OSError) as error:
        said = _said(error, uri)
        expected = "one type a column: cast it in the query, as in cast(quantity as real)"
        if "Type mismatch" not in said:
            expected = f"a query that gives the columns {', '.join(table.names)}"
        raise _RefusedError(f"the query fails ({said}); expected {expected}") from error
    if not re.search(r"\border\s+by\b", query, re.IGNORECASE):
        findings.note(
            f"{label}: without ORDER BY a database may give the same rows in another order, which is another input to "
            "--resume, and other numbers of rows in messages"
        )
    return Fetched(label, (Part(file, label, (), untyped),), {label: digest}, {}, spool)


def _error() -> type[Exception]:
    """What every driver raises."""
    return cast("type[Exception]", import_module("adbc_driver_manager.dbapi").Error)
