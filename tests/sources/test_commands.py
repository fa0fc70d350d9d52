"""The commands over a book whose tables are in a PostgreSQL database, a store and a file of DuckDB at once."""

import json
import os
import signal
import subprocess
import sys
import time

import adbc_driver_postgresql.dbapi as postgres
import duckdb
import pyarrow as pa
import pytest
from sources import servers
from sources.source_books import KEYS, moved, name_sources, parquet

from gpu_var.cli import main

SECRETS = (servers.PASSWORD, "geheim", "sehr-geheimer-schluessel")


@pytest.fixture
def everywhere(book, postgresql, bucket, tmp_path, monkeypatch):
    """The book, of which no table but `vols` and `accounts` is in its folder any more."""
    tables = moved(book, "positions", "history", "instruments", "underlyings")
    monkeypatch.setenv("RISK_DB", postgresql)
    with postgres.connect(postgresql, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists history")
        cursor.adbc_ingest("history", tables["history"])
    bucket.put("positions/a.parquet", parquet(tables["positions"].slice(0, 8), tmp_path / "a.parquet"))
    bucket.put("positions/b.parquet", parquet(tables["positions"].slice(8), tmp_path / "b.parquet"))
    instruments = tables["instruments"]
    with duckdb.connect(str(book / "terms.duckdb")) as connection:
        connection.execute("create table instruments as select * from instruments")
    parquet(tables["underlyings"], tmp_path / "u.parquet")
    name_sources(
        book,
        history={"database": "postgresql", "query": "select * from history order by date", "uri_env": "RISK_DB"},
        positions=bucket.uri("positions/"),
        instruments={
            "database": "duckdb",
            "query": f"select * from instruments order by {KEYS['instruments']}",
            "uri": "terms.duckdb",
        },
        underlyings="../u.parquet",
    )
    assert instruments.num_rows
    return book


def run(book, out, *more):
    return main(["run", str(book), "--out", str(out), "--backend", "cpu", "--pnl", *more])


def change(postgresql, command):
    with postgres.connect(postgresql, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(command)


def test_a_run_is_the_folders_run(everywhere, expected, tmp_path, capfd):
    out = tmp_path / "out"
    assert run(everywhere, out) == 0
    assert {name: (out / name).read_bytes() for name in expected} == expected
    facts = json.loads((out / "run.json").read_text())
    bucket = facts["config"]["sources"]["positions"]["uri"]
    assert set(facts["inputs"]) == {
        "margin.toml",
        "vols.csv",
        "accounts.csv",
        "history (query)",
        "instruments (query)",
        "underlyings (../u.parquet)",
        f"positions ({bucket}a.parquet)",
        f"positions ({bucket}b.parquet)",
    }
    said = "".join(capfd.readouterr()) + "".join(
        file.read_bytes().decode("latin-1") for file in out.iterdir() if file.is_file()
    )
    assert not any(secret in said for secret in SECRETS)
    assert "terms.duckdb" not in "".join(facts["notes"])


def test_resume_knows_what_has_changed(everywhere, postgresql, tmp_path, capfd):
    out = tmp_path / "out"
    assert run(everywhere, out) == 0
    before = (out / "run.json").read_bytes()
    assert run(everywhere, out, "--resume") == 0
    assert "nothing to do" in capfd.readouterr().out
    change(postgresql, 'update history set "spot:X" = "spot:X" * 1.001 where date = \'2025-12-30\'')
    assert run(everywhere, out, "--resume") == 2
    assert "  input history (query): its content has changed\n" in capfd.readouterr().err
    assert (out / "run.json").read_bytes() == before


def test_validate_and_price_read_sources_too(everywhere, capfd):
    assert main(["validate", str(everywhere)]) == 0
    assert main(["price", str(everywhere)]) == 0
    assert "X-C" in capfd.readouterr().out


def test_bad_input_is_found_in_all_sources_at_once(everywhere, postgresql, bucket, tmp_path, capfd):
    change(postgresql, "update history set \"iv:X:60d\" = 'NaN' where date = '2025-11-03'")
    file = tmp_path / "b.parquet"
    file.write_bytes(b"PAR1")
    bucket.put("positions/b.parquet", file)
    assert main(["validate", str(everywhere), "--quiet"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(":")[2].split(",")[0] for line in lines[:-1]] == [
        f" positions ({bucket.uri('positions/b.parquet')}): truncated",
        " history (query) row 3",
    ]
    assert lines[-1] == "2 errors in 2 tables; nothing was written"


def test_explain_finds_the_margin_again(everywhere, tmp_path, capfd):
    out = tmp_path / "out"
    assert run(everywhere, out) == 0
    assert main(["explain", str(out), "plain"]) == 0
    capfd.readouterr()
    table = pa.table({"underlying": ["X"], "currency": ["USD"], "spot": [101.0]})
    parquet(table, tmp_path / "u.parquet")
    assert main(["explain", str(out), "plain"]) == 2
    assert "underlyings (../u.parquet): its content has changed" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_query_that_takes_long(book, postgresql, tmp_path, number, code):
    """Within the contract's five seconds; nothing stays behind, here or in the database."""
    moved(book, "positions")
    name_sources(book, positions={"database": "postgresql", "query": "select pg_sleep(600) as waited"})
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "GPU_VAR_POSTGRESQL_URI": postgresql, "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "gpu_var", "run", str(book), "--quiet"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: waiting(postgresql), process)
            assert list(temporary.iterdir())
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code
    assert said == f"stopped by {number.name}\n"
    assert list(temporary.iterdir()) == []
    wait_until(lambda: not waiting(postgresql))


def waiting(postgresql):
    with postgres.connect(postgresql) as connection, connection.cursor() as cursor:
        asked = "query like '%pg_sleep(600)%' and pid <> pg_backend_pid() and state = 'active'"
        cursor.execute(f"select count(*) from pg_stat_activity where {asked}")
        return cursor.fetchone()[0]


def wait_until(condition, process=None):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.05)
