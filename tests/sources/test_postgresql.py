"""Tables from a real PostgreSQL server."""

import re

import adbc_driver_postgresql.dbapi as postgres
import pyarrow as pa
import pytest
from sources import servers, source_books
from sources.source_books import KEYS, TABLES, moved, name_sources, notes, outputs, read, wrong


@pytest.fixture
def database(postgresql, monkeypatch):
    """A connection to an empty database, which GPU_VAR_POSTGRESQL_URI names."""
    monkeypatch.setenv("GPU_VAR_POSTGRESQL_URI", postgresql)
    with postgres.connect(postgresql, autocommit=True) as connection:
        do(connection, "drop schema if exists risk cascade", "create schema risk")
        yield connection


def do(connection, *commands):
    with connection.cursor() as cursor:
        for command in commands:
            cursor.execute(command)


def fill(connection, tables):
    for name, table in tables.items():
        with connection.cursor() as cursor:
            cursor.adbc_ingest(name, table, db_schema_name="risk", mode="create")


def query(name, **more):
    return {"database": "postgresql", "query": f"select * from risk.{name} order by {KEYS[name]}", **more}


def test_a_whole_book_comes_to_the_same_bytes(book, database, expected, tmp_path):
    fill(database, moved(book, *TABLES))
    name_sources(book, **{name: query(name) for name in TABLES})
    assert outputs(book, tmp_path / "out") == expected


def test_columns_of_the_databases_own_types(book, database, expected, tmp_path):
    """numeric, an enumeration, date and timestamp without zone, integers, varchar."""
    fill(database, moved(book, *TABLES))
    do(
        database,
        "create type risk.kind as enum ('spot', 'option')",
        "alter table risk.instruments alter kind type risk.kind using kind::risk.kind, alter expiry type date, "
        "alter instrument type varchar(20), alter strike type numeric(12, 4), alter multiplier type int",
        "alter table risk.history alter date type timestamp using date at time zone 'UTC'",
        "alter table risk.positions alter quantity type numeric",
        "alter table risk.underlyings alter spot type smallint",
    )
    name_sources(book, **{name: query(name) for name in TABLES})
    assert outputs(book, tmp_path / "out") == expected


def test_columns_are_found_as_in_files(book, database):
    fill(database, moved(book, "positions", "instruments"))
    do(
        database,
        "alter table risk.instruments rename multiplier to multiplyer",
        "alter table risk.positions rename quantity to contracts",
    )
    name_sources(book, positions=query("positions"), instruments=query("instruments"))
    assert wrong(book) == [
        "error: positions (query), column quantity: missing; expected a finite number of contracts",
        "error: instruments (query), column multiplyer: no column of instruments; did you mean multiplier?",
        "2 errors in 2 tables; nothing was written",
    ]


def test_findings_name_the_query_and_its_row(book, database):
    """Found after the book was read: the row is looked up in what was fetched, not in another answer."""
    fill(database, moved(book, "history"))
    do(database, "update risk.history set \"spot:X\" = null where date = '2025-12-29'")
    name_sources(book, history=query("history"))
    [line, _] = wrong(book)
    assert line.startswith("error: history (query) row 59, column spot:X: null inside the look-back")


def test_a_numeric_that_is_no_number_is_found_in_its_row(book, database):
    fill(database, moved(book, "positions"))
    do(
        database,
        "alter table risk.positions alter quantity type numeric",
        "update risk.positions set quantity = 'NaN' where account = 'plain' and instrument = 'X-C'",
    )
    name_sources(book, positions=query("positions"))
    assert wrong(book)[0] == (
        "error: positions (query) row 14, column quantity: nan is not finite; expected a finite number of contracts"
    )


def test_a_column_of_a_wrong_type(book, database):
    fill(database, moved(book, "positions"))
    do(database, "alter table risk.positions alter quantity type text")
    name_sources(book, positions=query("positions"))
    assert wrong(book)[0] == (
        "error: positions (query), column quantity: of type string; expected an integer, float or decimal: a finite "
        "number of contracts"
    )


def test_an_empty_answer(book, database):
    fill(database, {"positions": moved(book, "positions")["positions"].slice(0, 0)})
    name_sources(book, positions=query("positions"))
    assert wrong(book)[0] == "error: positions (query): empty; expected at least one row"


def test_tables_are_of_one_moment_and_nothing_can_be_written(book, database):
    """All in one read-only transaction."""
    fill(database, moved(book, "positions", "history"))
    name_sources(
        book,
        positions={"database": "postgresql", "query": "delete from risk.positions returning *"},
        history=query("history"),
    )
    lines = wrong(book)
    assert len(lines) == 2
    assert lines[0].startswith("error: positions (query): the query fails (")
    with database.cursor() as cursor:
        cursor.execute("select count(*) from risk.positions")
        assert cursor.fetchone() == (15,)


def test_every_failing_query_is_found(book, database):
    fill(database, moved(book, "positions", "history"))
    name_sources(
        book,
        positions={"database": "postgresql", "query": "select * from risk.positons"},
        history=query("history"),
        vols={"database": "postgresql", "query": "selec 1"},
    )
    lines = wrong(book)
    assert lines[0] == (
        'error: positions (query): the query fails (Failed to prepare query: ERROR: relation "risk.positons" does not '
        "exist LINE 1: select * from risk.positons ^); expected a query that gives the columns account, instrument, "
        "quantity"
    )
    assert lines[1].startswith("error: vols (query): the query fails (Failed to prepare query: ERROR: syntax error at")
    assert len(lines) == 3


def test_an_order_is_asked_for(book, database):
    fill(database, moved(book, "positions"))
    name_sources(book, positions={"database": "postgresql", "query": "select * from risk.positions;  "})
    assert any(note.startswith("positions (query): without ORDER BY") for note in notes(book))
    name_sources(book, positions=query("positions"))
    assert not any("ORDER BY" in note for note in notes(book))


def test_a_variable_of_ones_own(book, database, postgresql, monkeypatch):
    fill(database, moved(book, "positions"))
    monkeypatch.delenv("GPU_VAR_POSTGRESQL_URI")
    name_sources(book, positions=query("positions"))
    assert wrong(book)[0] == (
        "error: positions (query): the environment variable GPU_VAR_POSTGRESQL_URI is not set; expected in it "
        "postgresql://user:password@host:5432/database"
    )
    monkeypatch.setenv("RISK_DB", postgresql)
    name_sources(book, positions=query("positions", uri_env="RISK_DB"))
    assert wrong(book) == []


@pytest.mark.parametrize("secret", [servers.PASSWORD, "geheim%zzzz", "kurz@mit/allem?drin=1", "ab"])
def test_no_password_in_any_message(book, postgresql, monkeypatch, secret):
    """Wrong ones, and those that libpq takes apart wrongly and repeats in parts."""
    moved(book, "positions")
    name_sources(book, positions=query("positions"))
    where = postgresql.rpartition("@")[2]
    monkeypatch.setenv("GPU_VAR_POSTGRESQL_URI", f"postgresql://nobody:{secret}@{where}")
    [line, _] = wrong(book)
    assert line.startswith("error: positions (query): cannot connect (")
    assert "expected a database that answers, and its URI in the environment variable" in line
    said = line.partition("); expected")[0]
    pieces = [piece for piece in re.split("[:/@?=]", secret) if piece != "drin"]
    for piece in [secret, *pieces]:
        assert not re.search(rf"(?<!\w){re.escape(piece)}(?!\w)", said.replace(where.partition("host=")[2], ""))


def test_no_server(book, monkeypatch, tmp_path):
    moved(book, "positions")
    name_sources(book, positions=query("positions", uri=f"postgresql:///risk?host={tmp_path}"))
    [line, _] = wrong(book)
    assert line.startswith("error: positions (query): cannot connect (")
    assert line.endswith(
        "); expected a database that answers, and its URI in uri, as in postgresql://user:password@host:5432/database"
    )


def test_the_content_is_hashed_not_its_types_or_chunks(book, database):
    fill(database, moved(book, "positions"))
    name_sources(book, positions=query("positions"))
    first = read(book).sources["positions"].digests
    assert list(first) == ["positions (query)"]
    do(database, "alter table risk.positions alter quantity type numeric, add column seen int default 1")
    assert read(book).sources["positions"].digests == first
    do(database, "update risk.positions set quantity = quantity + 1 where account = 'plain' and instrument = 'X'")
    assert read(book).sources["positions"].digests != first


def test_text_with_every_character_comes_back(book, database, expected, tmp_path):
    tables = moved(book, "accounts")
    assert pa.compute.any(pa.compute.match_substring(tables["accounts"]["account"], "日本")).as_py()
    fill(database, tables)
    name_sources(book, accounts=query("accounts"))
    assert outputs(book, tmp_path / "out") == expected
    assert source_books.read(book).label("accounts") == "accounts (query)"
