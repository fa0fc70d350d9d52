"""Runs whose positions are streamed, and whose tables are kept aside: the bytes are those of a run in memory."""

import errno

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from batch.batch_books import PNL, SHARDED, TABLES, run, write_house

import gpu_var as gv
from gpu_var.batch import kept, plan
from gpu_var.batch import outputs as written
from gpu_var.batch.errors import WriteError
from gpu_var.batch.kept import Kept
from gpu_var.batch.outputs import write_parquet, write_pieces
from gpu_var.batch.plan import plan_shards
from gpu_var.batch.sharded import requirement
from gpu_var.margin.measured import Setting
from gpu_var.margin.what_if import what_if
from gpu_var.market.checks import load
from gpu_var.tables import streamed

THE_SAME = [name for name in TABLES if name != "report.html"]  # it names the inputs, which are other files


@pytest.fixture
def small(monkeypatch):
    """Batches, parts and pieces of a few rows."""
    monkeypatch.setattr(streamed, "_BATCH", 30)
    monkeypatch.setattr(streamed, "ROWS", 40)
    monkeypatch.setattr(kept, "ROW_GROUP", 20)
    monkeypatch.setattr(written, "ROW_GROUP", 20)


def in_parquet(book):
    """The book, with positions in row groups of 50."""
    path = book / "positions.csv"
    pq.write_table(pyarrow.csv.read_csv(path), book / "positions.parquet", row_group_size=50)
    path.unlink()
    return book


@pytest.mark.parametrize("more", ["", SHARDED], ids=["one chunk", "several"])
def test_the_same_bytes_as_in_memory(tmp_path, small, more):
    book = in_parquet(write_house(tmp_path / "book", more))
    config = gv.Config.load(book / "margin.toml")
    in_memory = gv.read_book(book, config)
    assert in_memory.stored is None
    gv.run(in_memory, config, backend="cpu").write(tmp_path / "in-memory", pnl=True)
    assert run(book, tmp_path / "out", threads=2) == 0
    for name in [*THE_SAME, *PNL]:
        one, other = ((tmp_path / out / name).read_bytes() for out in ("out", "in-memory"))
        assert one == other, name


def test_what_if_of_a_run_that_streamed(tmp_path, small):
    """The positions of an account are there for whoever has the run."""
    book = in_parquet(write_house(tmp_path / "book"))
    config = gv.Config.load(book / "margin.toml")
    trades = {"instrument": ["U1-90"], "quantity": [-4.0]}
    answers = []
    for store in (True, False):
        read, _, factors, _ = load(book, store=store)
        assert (read.stored is not None) == store
        found = requirement(read, config, factors, threads=1)
        assert type(found.measured) is Setting
        answers.append(what_if(found.measured, pa.table(trades), "A03", {}))
    assert answers[0].equals(answers[1])


def test_a_chunk_has_few_positions(tmp_path, monkeypatch):
    book = write_house(tmp_path / "book")
    config = gv.Config.load(book / "margin.toml")
    read = gv.read_book(book, config)
    count = read.positions_by_account
    for most in (1, 9, 10, 27, 10**6):
        monkeypatch.setattr(plan, "_POSITION", (1 << 20) // most)
        chunks = plan_shards(read, config, 500).chunks
        assert [a for chunk in chunks for a in chunk] == list(range(len(count)))
        assert all(len(chunk) for chunk in chunks)
        pieces = -(-int(count.sum()) // ((1 << 20) // plan._POSITION))
        assert len(chunks) <= pieces
        assert max(count[chunk.start : chunk.stop].sum() for chunk in chunks) <= count.sum() / pieces + count.max()
    assert len(chunks) == 1


def table(rows, first=0):
    place = np.arange(first, first + rows)
    return pa.table({"account": place.astype(str), "core": place * 0.5, "delta": pa.array(place, mask=place % 3 == 0)})


@pytest.mark.parametrize("sizes", [[0], [5], [20], [40], [0, 0], [7, 0, 13, 50, 1], [19, 1, 20, 20], [61, 61]])
@pytest.mark.parametrize("aside", [(), ("breakdown",)])
def test_tables_in_parts(tmp_path, small, sizes, aside):
    tables = Kept(tmp_path / "scratch", aside)
    edges = np.append(0, np.cumsum(sizes))
    for first, rows in zip(edges[:-1].tolist(), sizes, strict=True):
        tables.add("breakdown", table(rows, first))
    whole = table(sum(sizes))
    assert list(tables) == ["breakdown"]
    assert tables["breakdown"].equals(whole)
    assert tables.select("breakdown", ["delta", "account"]).equals(whole.select(["delta", "account"]))
    assert all(column.num_chunks <= 1 for column in tables["breakdown"].columns) or len(sizes) == 1
    with (tmp_path / "one").open("wb") as one, (tmp_path / "other").open("wb") as other:
        write_parquet(whole, one)
        write_pieces(tables.pieces("breakdown"), other)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    groups = pq.ParquetFile(tmp_path / "one").metadata
    assert groups.num_rows == sum(sizes)
    assert {groups.row_group(g).num_rows for g in range(groups.num_row_groups - 1)} <= {20}
    assert (tmp_path / "scratch").exists() == bool(aside)


def test_no_room_for_a_table_is_told(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept.pa, "OSFile", full)
    with pytest.raises(WriteError, match=r"table-breakdown-000000: No space left on device"):
        Kept(tmp_path / "scratch", ("breakdown",)).add("breakdown", table(3))
