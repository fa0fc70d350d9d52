"""Positions that are streamed into a file are those that are read into memory: to the bit, and to the finding."""

import errno
import gc
import itertools
import os
import tempfile
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables.base import write

from gpu_var.cli import main
from gpu_var.market.checks import load
from gpu_var.tables import stored, streamed
from gpu_var.tables.book import Positions
from gpu_var.tables.findings import Findings, InputError
from gpu_var.tables.load import draft_book
from gpu_var.tables.pledged import with_collateral
from gpu_var.tables.slices import by_group, by_position, of_accounts, positions_of, with_trades

INSTRUMENTS = ["BTC-C", "BTC-F", "EUX-S"]
SIMULATED = '[collateral]\nsimulate = true\nhaircuts = { "*" = 0.1 }\n'


def table(rows):
    account, instrument, quantity = zip(*rows, strict=True)
    return pa.table({"account": account, "instrument": instrument, "quantity": pa.array(quantity, pa.float64())})


ROWS = table(
    [
        ("B", "EUX-S", 1.0),
        ("ä", "BTC-C", -3.0),
        ("A", "BTC-C", 10.0),
        ("A", "BTC-C", 20.0),
        ("A", "BTC-C", -31.0),
        ("C", "BTC-F", 2.0),
        ("B", "EUX-S", 5.0),
        ("C", "BTC-C", 0.0),
        ("A", "BTC-F", 7.0),
        ("D", "EUX-S", 1e15),
    ]
)


def parquet(rows, book, **more):
    pq.write_table(rows, book / "positions.parquet", **({"row_group_size": 4} | more))


def arrow(rows, book):
    pyarrow.feather.write_feather(rows, book / "positions.arrow", compression="uncompressed", chunksize=4)


def stream(rows, book):
    with pa.ipc.new_stream(book / "positions.arrow", rows.schema) as writer:
        writer.write_table(rows, max_chunksize=4)


def parts(rows, book):
    (book / "positions").mkdir()
    pq.write_table(rows.slice(0, 7), book / "positions" / "a.parquet")
    pq.write_table(rows.slice(7), book / "positions" / "b.parquet")


def encoded(rows, book):
    """Dictionaries with a value that no row has, another in each batch."""
    schema = pa.schema([("account", pa.dictionary(pa.int8(), pa.large_string())), *list(rows.schema)[1:]])
    with pa.ipc.new_stream(book / "positions.arrow", schema) as writer:
        for at in range(0, len(rows), 4):
            batch = rows.slice(at, 4).combine_chunks()
            code = batch["account"].combine_chunks().dictionary_encode()
            names = pa.concat_arrays([pa.array(["nobody"]), code.dictionary.cast(pa.string())]).cast(pa.large_string())
            shifted = pa.array(np.asarray(code.indices) + 1, pa.int8())
            column = pa.DictionaryArray.from_arrays(shifted, names)
            writer.write_batch(pa.RecordBatch.from_arrays([column, *map(_one, batch.columns[1:])], schema=schema))


def _one(column):
    return column.combine_chunks()


FORMS = {form.__name__: form for form in (parquet, arrow, stream, parts, encoded)}


def book_of(folder, rows, form=parquet, **changes):
    """The book, with those positions in another form than CSV."""
    write(folder, positions__csv=None, **changes)
    form(rows, folder)
    return folder


def draft(book, store):
    findings = Findings()
    read = draft_book(book, findings, needs_history=True, store=store).book
    assert findings.lines() == []
    return read


def all_of(book):
    return positions_of(book, range(len(book.accounts.house)))


def same(got, want):
    for name in ("account", "instrument", "quantity"):
        a, b = getattr(got, name), getattr(want, name)
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


@pytest.fixture
def small(monkeypatch):
    """Batches and parts of a few rows."""
    monkeypatch.setattr(streamed, "_BATCH", 3)
    monkeypatch.setattr(streamed, "ROWS", 4)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_positions(tmp_path, small, form):
    book = book_of(tmp_path / "book", ROWS, form)
    got, want = draft(book, store=True), draft(book, store=False)
    assert got.stored is not None
    assert want.stored is None
    assert len(got.positions.quantity) == 0
    assert got.accounts.name.to_pylist() == want.accounts.name.to_pylist() == ["A", "B", "C", "D", "ä"]
    same(all_of(got), want.positions)
    assert want.positions.quantity.tolist() == [-1.0, 7.0, 6.0, 0.0, 2.0, 1e15, -3.0]
    assert got.held.tolist() == want.held.tolist()
    assert got.positions_by_account.tolist() == want.positions_by_account.tolist() == [2, 1, 2, 1, 1]


rows_of_a_table = st.lists(
    st.tuples(st.sampled_from("ABCDE"), st.sampled_from(INSTRUMENTS), st.floats(-1e14, 1e14)), min_size=1, max_size=40
)
counter = itertools.count()


@settings(deadline=None, max_examples=40)
@given(rows_of_a_table, st.integers(1, 9), st.integers(1, 9))
def test_any_rows_in_any_batches(tmp_path_factory, rows, batch, part):
    book = book_of(tmp_path_factory.getbasetemp() / f"any-{next(counter)}", table(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "_BATCH", batch)
        patch.setattr(streamed, "ROWS", part)
        got, want = draft(book, store=True), draft(book, store=False)
    same(all_of(got), want.positions)
    assert got.held.tolist() == want.held.tolist()
    assert got.accounts.name.equals(want.accounts.name)


@pytest.mark.parametrize("rows", [[0], [1, 2], [0, 3], [0, 1, 2, 3, 4], []])
def test_some_accounts(tmp_path, small, rows):
    book = book_of(tmp_path / "book", ROWS)
    got, want = (of_accounts(draft(book, store), np.array(rows, np.int64)) for store in (True, False))
    assert got.stored is None
    assert got.accounts.name.to_pylist() == want.accounts.name.to_pylist()
    same(got.positions, want.positions)
    every = want.positions
    assert sorted({*every.account.tolist()}) == list(range(len(rows)))


def test_accounts_that_stand_in_their_table_alone(tmp_path, small):
    accounts = "account\nZ\nA\nB\nC\nD\nä\nA0\n"
    book = book_of(tmp_path / "book", ROWS)
    (book / "accounts.csv").write_text(accounts)
    got, want = draft(book, store=True), draft(book, store=False)
    assert got.accounts.name.to_pylist() == ["A", "A0", "B", "C", "D", "Z", "ä"]
    same(all_of(got), want.positions)
    assert got.positions_by_account.tolist() == [2, 0, 1, 2, 1, 0, 1]


def test_what_is_made_of_a_book(tmp_path, small):
    book = book_of(tmp_path / "book", ROWS)
    got, want = draft(book, store=True), draft(book, store=False)
    same(by_position(got, 0).positions, by_position(want, 0).positions)
    trades = np.array([2, 0, 2]), np.array([1.0, 0.5, -4.0])
    same(with_trades(got, 1, *trades).positions, with_trades(want, 1, *trades).positions)
    assert with_trades(got, 1, *trades).stored is None
    groups = [by_group(one, range(1, 4), np.array([1, 0]), 2) for one in (got, want)]
    for a, b in zip(*groups, strict=True):
        same(a, b)


def test_collateral_stands_among_them(tmp_path, small):
    book = book_of(tmp_path / "book", ROWS)
    (book / "collateral.csv").write_text("account,asset,quantity\nA,EUX,5\nC,EUR,-2\nD,EUX,1\nB,USD,7\n")
    file = book / "margin.toml"
    file.write_text(file.read_text() + SIMULATED)
    (got, config, *_), (want, *_) = load(book, store=True), load(book)
    got, want = with_collateral(got, config), with_collateral(want, config)
    assert got.stored is not None
    assert len(got.positions.quantity) == 3
    same(all_of(got), want.positions)
    assert got.held.tolist() == want.held.tolist()
    assert got.positions_by_account.tolist() == want.positions_by_account.tolist()
    for accounts in (range(2), range(2, 5), range(3, 3)):
        same(positions_of(got, accounts), positions_of(want, accounts))


def test_csv_is_read_into_memory(tmp_path):
    book = draft(write(tmp_path / "book"), store=True)
    assert book.stored is None
    assert len(book.positions.quantity) == 4


def replaced(column, rows, value):
    values = ROWS[column].to_pylist()
    for row in rows:
        values[row] = value
    return ROWS.set_column(ROWS.column_names.index(column), column, pa.array(values, ROWS[column].type))


WRONG = {
    "no account": replaced("account", [2, 6], None),
    "an empty account": replaced("account", [9], ""),
    "a long account": replaced("account", [1], "x" * 1001),
    "a control character": replaced("instrument", [4], "a\nb"),
    "an unknown instrument": replaced("instrument", range(10), "BTC-X"),
    "no quantity": replaced("quantity", [0], None),
    "not finite": replaced("quantity", [3, 8], float("nan")),
    "a large sum": replaced("quantity", [2, 3, 0, 6], 9e14),
    "several": replaced("quantity", [3], float("inf")).set_column(0, "account", pa.array([None, *"AAAAAAAAA"])),
    "text in place of numbers": ROWS.set_column(2, "quantity", pa.array(["1"] * 10)),
    "a misspelt column": ROWS.append_column("acount", ROWS["account"]),
    "a missing column": ROWS.drop_columns("quantity"),
    "no rows": ROWS.slice(0, 0),
}


def said(book, store):
    try:
        load(book, store=store)
    except InputError as error:
        return str(error).splitlines(), error.findings.notes
    return [], []


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("rows", WRONG.values(), ids=WRONG)
def test_the_same_findings(tmp_path, small, rows, listed):
    book = book_of(tmp_path / "book", rows, underlyings__csv=("95000", "n/a"))
    if listed:
        (book / "accounts.csv").write_text("account,kind\nA,client\nA,house\nC,client\n")
    got, want = said(book, store=True), said(book, store=False)
    assert got == want
    assert any(line.startswith("error: positions.parquet") for line in got[0])


@pytest.mark.parametrize("harm", ["cut", "flipped", "of nothing"])
def test_a_broken_file(tmp_path, small, harm):
    book = book_of(tmp_path / "book", ROWS)
    path = book / "positions.parquet"
    whole = path.read_bytes()
    broken = {"cut": whole[:-9], "flipped": whole[:4] + b"\xff" * 60 + whole[64:], "of nothing": b""}[harm]
    path.write_bytes(broken)
    assert said(book, store=True) == said(book, store=False)
    assert said(book, store=True)[0]


def test_other_columns_are_noted(tmp_path, small):
    book = book_of(tmp_path / "book", ROWS.append_column("trader", ROWS["account"]))
    (got, *_, _), (want, *_, _) = load(book, store=True), load(book)
    assert got.stored is not None
    assert got.notes == want.notes
    assert "ignored columns: trader (positions.parquet)" in got.notes


def test_the_file_has_no_name(tmp_path, small, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    book = draft(book_of(tmp_path / "book", ROWS), store=True)
    assert list((tmp_path / "temporary").iterdir()) == []
    same(positions_of(book, range(1)), Positions(*_first(book)))


def _first(book):
    whole = all_of(book)
    own = whole.account == 0
    return whole.account[own], whole.instrument[own], whole.quantity[own]


def test_a_full_disk_is_told(tmp_path, small, monkeypatch, capsys):
    book = book_of(tmp_path / "book", ROWS)

    def pwrite(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stored.os, "pwrite", pwrite)
    assert main(["run", str(book), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    told = capsys.readouterr().err
    assert f"error: {tempfile.gettempdir()}: No space left on device" in told
    assert "TMPDIR" in told
    assert not (tmp_path / "out").exists()


def test_a_file_that_has_become_shorter_is_an_error(tmp_path, small):
    book = draft(book_of(tmp_path / "book", ROWS), store=True)
    os.ftruncate(book.stored._file._file.fileno(), 20)
    with pytest.raises(OSError, match="has become shorter"):
        all_of(book)


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "_BATCH", 1 << 12)
    monkeypatch.setattr(streamed, "ROWS", 1 << 13)
    rng, peak = np.random.default_rng(1), {}
    for n in (1 << 16, 1 << 19):
        accounts, instruments = rng.integers(0, 500, n), rng.integers(0, 3, n)
        names = np.char.add("A", np.arange(500).astype(str))
        rows = pa.table(
            {
                "account": names[accounts],
                "instrument": np.array(INSTRUMENTS)[instruments],
                "quantity": rng.normal(0.0, 1e4, n),
            }
        )
        book = book_of(tmp_path / f"{n}", rows, lambda table, folder: parquet(table, folder, row_group_size=1 << 14))
        draft(book, store=True)
        gc.collect()
        tracemalloc.start()
        read = draft(book, store=True)
        peak[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read.positions_by_account.sum() == 1500
    more = ((1 << 19) - (1 << 16)) * streamed.ROW.itemsize
    assert peak[1 << 19] - peak[1 << 16] < 0.1 * more
