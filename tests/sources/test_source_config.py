"""[sources] of margin.toml."""

import pytest
from pydantic import ValidationError
from sources.source_books import moved, name_sources, read, wrong

import gpu_var as gv
from gpu_var.batch.run import plain
from gpu_var.tables.config_again import restored
from gpu_var.tables.config_sources import Source, Sources

QUERY = {"database": "postgresql", "query": "select 1"}
_NOT_HERE = "expected them in the environment: name a variable that holds the URI by uri_env"


def with_sources(book, lines):
    file = book / "margin.toml"
    file.write_text(file.read_text() + f"\n[sources]\n{lines}\n")
    return wrong(book)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "postions = 'x'",
            "key sources.postions: unknown key; the nearest known one is 'positions'; known are positions",
        ),
        ("positions = 3", "key sources.positions: 3 is of the wrong type; expected a URI or path, or a table such as"),
        ("positions = {}", "key sources.positions: names no source; expected a URI or path, or a table such as"),
        ("positions = ''", "key sources.positions.uri: '' is not accepted; expected a URI such as"),
        (
            "positions = { database = 'postgres', query = 'x' }",
            "key sources.positions.database: 'postgres' is not accepted; expected 'postgresql', 'sqlite' or 'duckdb'",
        ),
        (
            "positions = { database = 'sqlite' }",
            "key sources.positions.query: missing; expected a query in SQL, such as 'select * from positions'",
        ),
        (
            "positions = { query = 'select 1' }",
            "key sources.positions.database: missing; expected 'postgresql', 'sqlite' or 'duckdb'",
        ),
        (
            "positions = { database = 'sqlite', qury = 'x' }",
            "key sources.positions.qury: unknown key; the nearest known one is 'query'",
        ),
        (
            "positions = { database = 'sqlite', query = 'x', uri = 'a.db', uri_env = 'A' }",
            "key sources.positions.uri_env: says the same as uri; expected one of them",
        ),
        (
            "positions = { database = 'sqlite', query = 'x', uri_env = 'A-B' }",
            "key sources.positions.uri_env: 'A-B' is not accepted; expected the name of an environment variable",
        ),
        (
            "positions = 'postgresql://host/db'",
            'key sources.positions.uri: is that of a database; expected a table such as { database = "postgresql"',
        ),
    ],
)
def test_findings(book, line, said):
    lines = with_sources(book, line)
    assert lines[0].startswith(f"error: margin.toml, {said}")
    assert lines[1] == "1 error in 1 table; nothing was written"


@pytest.mark.parametrize(
    ("line", "key", "said"),
    [
        ("{ database = 'postgresql', query = 'x', uri = 'postgresql://me:geheim@host/db' }", "uri", _NOT_HERE),
        ("{ database = 'postgresql', query = 'x', uri = 'postgresql://me:ge/he@im@host/db' }", "uri", _NOT_HERE),
        ("{ database = 'postgresql', query = 'x', uri = 'postgresql://host/db?password=geheim' }", "uri", _NOT_HERE),
        ("{ database = 'postgresql', query = 'x', uri = 'host=a password=geheim' }", "uri", _NOT_HERE),
        ("{ database = 'postgresql', query = 'x', uri_env = 'postgresql://me:geheim@host/db' }", "uri_env", _NOT_HERE),
        ("{ database = 'postgresql://me:geheim@host/db', query = 'x' }", "database", _NOT_HERE),
        ("'postgresql://me:geheim@host/db'", "uri", _NOT_HERE),
        ("'s3://AKIA:geheim@bucket/positions/'", "uri", "expected them in the environment (AWS_SECRET_ACCESS_KEY"),
        ("'s3://bucket/p?secret_key=geheim'", "uri", "expected them in the environment (AWS_SECRET_ACCESS_KEY"),
        ("'abfs://c@a.dfs.core.windows.net/p?sas_token=geheim'", "uri", "expected them in the environment (AWS"),
    ],
)
def test_credentials_are_refused_and_not_repeated(book, line, key, said):
    lines = with_sources(book, f"positions = {line}")
    assert lines[0].startswith(f"error: margin.toml, key sources.positions.{key}: holds credentials; {said}")
    assert len(lines) == 2
    assert not any(secret in one for secret in ("geheim", "he@im") for one in lines)


def test_nor_are_they_in_python():
    with pytest.raises(ValidationError) as caught:
        Source(database="postgresql", query="x", uri="postgresql://me:geheim@host/db")
    assert "geheim" not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        Sources.model_validate({"positions": "s3://a:geheim@bucket/p"})
    assert "credentials" in str(caught.value)
    assert "geheim" not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        gv.Config(as_of="2026-01-05", base_currency="USD", fhs={}, sources={"positions": "s3://a:geheim@bucket/p"})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://bucket/me:x@y/p.parquet", "gs://anonymous@bucket/p/", "postgresql:///db?host=/run&sslkey=/k"]
)
def test_what_is_no_credential(uri):
    database = {"database": "postgresql", "query": "x"} if uri.startswith("postgres") else {}
    assert Source(uri=uri, **database).uri == uri


def test_run_json_has_the_sources_and_reads_them_back(book):
    name_sources(book, positions="s3://bucket/p/", history=QUERY, vols={**QUERY, "uri_env": "RISK"})
    config = gv.Config.load(book / "margin.toml")
    tree = plain(config)
    assert tree["sources"] == {
        "positions": {"uri": "s3://bucket/p/"},
        "vols": {**QUERY, "uri_env": "RISK"},
        "history": QUERY,
    }
    assert restored(tree) == config
    assert config.sources.vols.variable == "RISK"
    assert config.sources.history.variable == "GPU_VAR_POSTGRESQL_URI"


def test_a_refused_source_is_the_only_finding(book):
    """Its table is not said to be missing as well, nor are those that stand in the rest of [sources]."""
    moved(book, "positions", "history", "instruments")
    lines = with_sources(book, "positions = 'a.parquet'\nhistory = { database = 'sqlite' }\ninstruments = 'b/'")
    assert lines == [
        "error: margin.toml, key sources.history.query: missing; expected a query in SQL, such as "
        "'select * from positions'",
        "1 error in 1 table; nothing was written",
    ]


def test_a_book_read_without_its_sources_is_refused(book):
    positions = book / "positions.csv"
    name_sources(book, positions="positions.csv")
    config = gv.Config.load(book / "margin.toml")
    assert positions.exists()
    with pytest.raises(
        gv.InputError,
        match=r"key sources: names positions, but the book was read with none; expected "
        r"read_book\(path, config\)",
    ):
        gv.run(gv.read_book(book), config, backend="cpu")
    other = config.model_copy(update={"sources": None})
    with pytest.raises(gv.InputError, match="key sources: names none, but the book was read with positions"):
        gv.run(read(book), other, backend="cpu")
