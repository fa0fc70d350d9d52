"""Tables from SQLite and DuckDB files."""

import sqlite3
import sys

import duckdb
import pyarrow as pa
import pytest
from cli.small import NAMES
from sources.source_books import KEYS, TABLES, moved, name_sources, outputs, read, typed, wrong


def text_of(value):
    return value.strftime("%Y-%m-%d") if hasattr(value, "strftime") else value


def sqlite(path, tables):
    """As people keep tables in SQLite: no types but those of the values, dates as text."""
    with sqlite3.connect(path) as connection:
        for name, table in tables.items():
            columns = ", ".join(f'"{column}"' for column in table.column_names)
            connection.execute(f"create table {name} ({columns})")
            rows = [tuple(map(text_of, row.values())) for row in table.to_pylist()]
            connection.executemany(f"insert into {name} values ({', '.join('?' * table.num_columns)})", rows)
    connection.close()


def duck(path, tables):
    with duckdb.connect(str(path)) as connection:
        for name, table in tables.items():
            connection.register("arrow", table)
            connection.execute(f"create table {name} as select * from arrow")
            connection.unregister("arrow")


FILL = {"sqlite": sqlite, "duckdb": duck}
ENGINES = pytest.mark.parametrize("engine", FILL)


def query(engine, name, uri="../risk.db"):
    return {"database": engine, "query": f"select * from {name} order by {KEYS[name]}", "uri": uri}


@ENGINES
def test_a_whole_book_comes_to_the_same_bytes(book, expected, tmp_path, engine):
    FILL[engine](tmp_path / "risk.db", moved(book, *TABLES))
    before = (tmp_path / "risk.db").read_bytes()
    name_sources(book, **{name: query(engine, name) for name in TABLES})
    assert outputs(book, tmp_path / "out") == expected
    assert (tmp_path / "risk.db").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book", "out", "risk.db"]


@ENGINES
def test_the_environment_may_name_the_file(book, tmp_path, monkeypatch, engine):
    FILL[engine](tmp_path / "risk.db", moved(book, "vols"))
    variable = f"GPU_VAR_{engine.upper()}_URI"
    name_sources(book, vols={"database": engine, "query": "select * from vols order by strike"})
    monkeypatch.delenv(variable, raising=False)
    assert wrong(book)[0] == (
        f"error: vols (query): the environment variable {variable} is not set; expected in it the path of a database "
        "file"
    )
    monkeypatch.setenv(variable, str(tmp_path / "risk.db"))
    assert wrong(book) == []
    monkeypatch.setenv(variable, (tmp_path / "risk.db").as_uri())
    assert wrong(book) == []


@ENGINES
def test_no_such_file_is_made(book, tmp_path, engine):
    moved(book, "vols")
    name_sources(book, vols=query(engine, "vols", "../none.db"))
    assert wrong(book)[0] == (
        f"error: vols (query): no such file: {tmp_path / 'none.db'}; expected the path of a database file"
    )
    assert not (tmp_path / "none.db").exists()


@ENGINES
def test_the_uri_of_another_database_is_not_repeated(book, monkeypatch, engine):
    moved(book, "vols")
    monkeypatch.setenv("RISK_DB", "postgresql://me:geheim@host/db")
    name_sources(book, vols={"database": engine, "query": "select 1", "uri_env": "RISK_DB"})
    [line, _] = wrong(book)
    assert line.startswith("error: vols (query): no such file: ")
    assert "geheim" not in line


@ENGINES
def test_a_file_of_another_kind(book, engine):
    moved(book, "vols")
    name_sources(book, vols=query(engine, "vols", "margin.toml"))
    [line, _] = wrong(book)
    assert line.startswith("error: vols (query): ")
    assert "database" in line
    assert "; expected a" in line


@ENGINES
def test_nothing_is_written(book, tmp_path, engine):
    FILL[engine](tmp_path / "risk.db", moved(book, "vols"))
    before = (tmp_path / "risk.db").read_bytes()
    name_sources(book, vols={**query(engine, "vols"), "query": "delete from vols"})
    [line, _] = wrong(book)
    assert line.startswith("error: vols (query): the query fails (")
    assert (tmp_path / "risk.db").read_bytes() == before


@ENGINES
def test_the_same_content_has_the_same_hash_in_any_database(book, tmp_path, engine):
    """An answer that came in 1 batch and one that came in many, dates and texts, integers and floats."""
    tables = {name: typed(book, name) for name in TABLES}
    FILL[engine](tmp_path / "risk.db", tables)
    name_sources(book, **{name: query(engine, name) for name in TABLES})
    found = {name: source.digests for name, source in read(book).sources.items()}
    assert {name: list(one) for name, one in found.items()} == {name: [f"{name} (query)"] for name in TABLES}
    if engine == "duckdb":
        halves = {name: [t.slice(0, t.num_rows // 2), t.slice(t.num_rows // 2)] for name, t in tables.items()}
        duck(tmp_path / "halves.db", {f"{name}_{i}": half for name in TABLES for i, half in enumerate(halves[name])})
        both = {
            name: {
                **query(engine, name, "../halves.db"),
                "query": f"select * from (from {name}_0 union all from {name}_1) order by {KEYS[name]}",
            }
            for name in TABLES
        }
        name_sources(book, **both)
        assert {name: source.digests for name, source in read(book).sources.items()} == found


def test_sqlite_rows_are_found_by_value(book, tmp_path):
    """A column without a type: what the values are decides."""
    tables = moved(book, "history", "vols")
    sqlite(tmp_path / "risk.db", tables)
    with sqlite3.connect(tmp_path / "risk.db") as connection:
        connection.execute("update history set date = '05.11.2025' where date = '2025-11-05'")
        connection.execute("update vols set iv = 'n/a'")
    connection.close()
    name_sources(
        book,
        history={**query("sqlite", "history"), "query": "select * from history order by rowid"},
        vols=query("sqlite", "vols"),
    )
    vols, history, _ = wrong(book)
    assert vols.startswith("error: vols (query), column iv: of type string; expected an integer, float or decimal")
    assert history.startswith(
        "error: history (query) row 5, column date: '05.11.2025' is not a time; expected YYYY-MM-DD"
    )


def test_sqlite_values_of_two_types_far_apart(book, tmp_path, monkeypatch):
    """The driver tells a column's type from its first rows."""
    sqlite(tmp_path / "risk.db", {})
    with sqlite3.connect(tmp_path / "risk.db") as connection:
        connection.execute("create table positions (account, instrument, quantity)")
        rows = [("plain", "X", 1)] * 2000
        connection.executemany("insert into positions values (?, ?, ?)", [*rows, ("plain", "X", 0.5)])
    connection.close()
    monkeypatch.setattr("gpu_var.tables.source_database._SQLITE_ROWS", 1000)
    name_sources(book, positions={**query("sqlite", "positions"), "query": "select * from positions order by rowid"})
    [line, _] = wrong(book)
    assert line.startswith("error: positions (query): the query fails (")
    assert line.endswith("expected one type a column: cast it in the query, as in cast(quantity as real)")
    cast = "select account, instrument, cast(quantity as real) as quantity from positions order by rowid"
    name_sources(book, positions={**query("sqlite", "positions"), "query": cast})
    assert read(book).positions.quantity.tolist() == [2000.5]


def test_sqlite_nulls_first(book, tmp_path, monkeypatch):
    """A column that is null in all of the driver's first rows has no type yet, and gets none silently."""
    moved(book, "accounts")
    with sqlite3.connect(tmp_path / "risk.db") as connection:
        connection.execute("create table accounts (account text, member text)")
        connection.executemany("insert into accounts values (?, null)", [(f"a{i:06}",) for i in range(70_000)])
        connection.execute("insert into accounts values ('plain', 'M')")
    connection.close()
    monkeypatch.setattr("gpu_var.tables.source_database._SQLITE_ROWS", 1000)
    name_sources(book, accounts={**query("sqlite", "accounts"), "query": "select * from accounts order by rowid"})
    line = wrong(book)[0]
    assert line.startswith("error: accounts (query): ")
    assert "cast it in the query" in line


def test_a_missing_package_is_named(book, tmp_path, monkeypatch):
    FILL["sqlite"](tmp_path / "risk.db", moved(book, "vols"))
    name_sources(book, vols=query("sqlite", "vols"))
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    assert wrong(book)[0] == (
        "error: vols (query): the package adbc-driver-sqlite is missing, which reads sqlite; expected: pip install "
        "'gpu-var[sources]'"
    )


def test_decimals_hugeints_enumerations_and_zones_of_duckdb(book, expected, tmp_path):
    duck(tmp_path / "risk.db", moved(book, *TABLES))
    with duckdb.connect(str(tmp_path / "risk.db")) as connection:
        connection.execute("create type kinds as enum ('spot', 'option')")
        connection.execute("alter table instruments alter kind type kinds")
        connection.execute("alter table instruments alter multiplier type hugeint")
        connection.execute("alter table positions alter quantity type decimal(18, 4)")
        connection.execute("alter table history alter date type date")
    name_sources(book, **{name: query("duckdb", name) for name in TABLES})
    assert outputs(book, tmp_path / "out") == expected


def test_many_small_batches_become_few(tmp_path, book):
    """DuckDB hands out 2,048 rows at a time."""
    moved(book, "accounts")
    with duckdb.connect(str(tmp_path / "risk.db")) as connection:
        connection.execute("create table accounts as select 'a' || i as account from range(200_000) t(i)")
        connection.execute("insert into accounts select unnest(?)", [NAMES])
    name_sources(book, accounts={**query("duckdb", "accounts"), "query": "from accounts order by account"})
    found = read(book)
    assert len(found.accounts.name) == 200_005
    with pa.ipc.open_file(found.sources["accounts"].paths[0]) as file:
        assert file.num_record_batches <= 4
