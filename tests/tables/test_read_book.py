"""What a valid book becomes, from every format."""

import io
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables.base import BOOK, write

from cpu_reference.types import FUTURE, OPTION, SPOT
from gpu_var.tables import holdings
from gpu_var.tables.book import NO_EXPIRY
from gpu_var.tables.findings import InputError
from gpu_var.tables.load import read_book


def test_the_columns(tmp_path):
    book = read_book(write(tmp_path / "book"))
    assert book.accounts.name.to_pylist() == ["A1", "A2"]
    assert book.positions.account.tolist() == [0, 0, 1, 1]
    assert book.positions.instrument.tolist() == [0, 1, 0, 2]
    assert book.positions.quantity.tolist() == [11, -2, -5, 3]
    instruments = book.instruments
    assert instruments.kind.tolist() == [OPTION, FUTURE, SPOT]
    assert instruments.underlying.tolist() == [0, 0, 1]
    assert instruments.expiry.tolist() == [1782460800000000, 1774569600000000, NO_EXPIRY]
    assert instruments.sign.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(instruments.strike, [100000, np.nan, np.nan])
    assert not instruments.american.any()
    assert not instruments.inverse.any()
    assert book.currencies.name == ("EUR", "USD")
    np.testing.assert_array_equal(book.currencies.fx, [1.1, np.nan])
    assert book.underlyings.currency.tolist() == [1, 0]
    np.testing.assert_array_equal(book.underlyings.vega_adv, [1e6, np.nan])
    assert book.vols.strike.tolist() == [90000, 110000]
    assert book.history.level.shape == (22, 4)
    assert book.held.tolist() == [True, True, True]
    assert book.notes == ()


def rewrite(folder, how):
    """Every CSV table of the book in another format."""
    for path in list(folder.glob("*.csv")):
        options = pa.csv.ConvertOptions(column_types={"expiry": pa.timestamp("us"), "date": pa.date32()})
        table = pa.csv.read_csv(path, convert_options=options)
        sink = io.BytesIO()
        if how == "parquet":
            pq.write_table(table, sink)
        else:
            opened = pa.ipc.new_file if how == "file" else pa.ipc.new_stream
            with opened(sink, table.schema) as writer:
                writer.write_table(table)
        path.with_suffix(".parquet" if how == "parquet" else ".arrow").write_bytes(sink.getvalue())
        path.unlink()


@pytest.mark.parametrize("how", ["parquet", "file", "stream"])
def test_every_format_gives_the_same_book(tmp_path, how):
    expected = read_book(write(tmp_path / "csv"))
    folder = write(tmp_path / "book", instruments__csv=BOOK["instruments.csv"].replace("T08:00:00Z", ""))
    rewrite(folder, how)
    book = read_book(folder)
    for name in ("positions", "underlyings", "vols", "history"):
        for ours, theirs in zip(
            vars(getattr(book, name)).values(), vars(getattr(expected, name)).values(), strict=True
        ):
            if isinstance(ours, np.ndarray):
                np.testing.assert_array_equal(ours, theirs)
            else:
                assert ours == theirs
    assert book.instruments.name == expected.instruments.name
    assert book.instruments.sign.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.uint32(), pa.large_string()),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "number", [pa.uint8(), pa.float16(), pa.float32(), pa.decimal128(30, 2), pa.decimal256(60, 4)], ids=str
)
def test_arrow_types(tmp_path, text, number):
    plain = pa.array(["A2", "A1"])
    names = plain.dictionary_encode().cast(text) if pa.types.is_dictionary(text) else plain.cast(text)
    table = pa.table(
        {"account": names, "instrument": ["BTC-C"] * 2, "quantity": pa.array([2, 3], pa.int64()).cast(number)}
    )
    folder = write(tmp_path / "book", positions__csv=None)
    with pa.ipc.new_file(folder / "positions.arrow", table.schema) as writer:
        writer.write_table(table)
    book = read_book(folder)
    assert book.accounts.name.to_pylist() == ["A1", "A2"]
    assert book.positions.quantity.tolist() == [3, 2]


def test_parts_add_up(tmp_path):
    folder = write(tmp_path / "book", positions__csv=None)
    (folder / "positions").mkdir()
    for i, type_ in enumerate([pa.int32(), pa.float64()]):
        columns = {"account": ["A1"], "instrument": ["BTC-C"], "quantity": pa.array([i + 1], type_)}
        pq.write_table(pa.table(columns), folder / "positions" / f"{i}.parquet")
    (folder / "positions" / "_SUCCESS").touch()
    book = read_book(folder)
    assert book.positions.quantity.tolist() == [3]
    assert book.notes == ("ignored files: positions/_SUCCESS",)
    pq.write_table(pa.table(columns | {"quantity": [np.inf]}), folder / "positions" / "2.parquet")
    with pytest.raises(InputError, match=r"error: positions/2\.parquet row 1, column quantity: inf is not finite"):
        read_book(folder)


def test_links_are_followed(tmp_path):
    folder = write(tmp_path / "book")
    (folder / "fx.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "fx.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert read_book(folder).currencies.fx[0] == 1.1
    (tmp_path / "elsewhere.csv").unlink()
    with pytest.raises(InputError, match=r"fx\.csv: a link to nothing"):
        read_book(folder)


@pytest.mark.parametrize(
    "name", ["../x", "=1+1", "<b>", " A ", "a,b", 'a"b', "日本", "\u202e", "N/A", "null", "1", "e\u0301"]
)
def test_identifiers_come_back_unchanged(tmp_path, name):
    quoted = '"' + name.replace('"', '""') + '"'
    book = read_book(write(tmp_path / "book", positions__csv=f"account,instrument,quantity\n{quoted},BTC-C,1\n"))
    assert book.accounts.name.to_pylist() == [name]


def test_accounts_ascend_by_their_bytes(tmp_path):
    names = ["b", "B", "é", "z", "\U0001f600", "\uffee", "a", "A"]
    table = "account,member,kind\n" + "".join(f"{name},,house\n" for name in [*names, "A1", "A2"])
    book = read_book(write(tmp_path / "book", accounts__csv=table))
    assert book.accounts.name.to_pylist() == sorted([*names, "A1", "A2"], key=str.encode)
    assert book.accounts.house.all()
    assert book.accounts.name[book.positions.account[0]].as_py() == "A1"


def test_csv_with_a_mark_crlf_quotes_and_blank_lines(tmp_path):
    text = "\ufeff" + BOOK["positions.csv"].replace("\n", "\r\n\r\n").replace("A1,", '"A1",')
    book = read_book(write(tmp_path / "book", positions__csv=text))
    assert book.positions.quantity.tolist() == [11, -2, -5, 3]


@pytest.mark.parametrize(("text", "value"), [("+5", 5), ("1e3", 1000), (".5", 0.5), ("5.", 5), ("-1.5E-1", -0.15)])
def test_numbers_as_text(tmp_path, text, value):
    book = read_book(write(tmp_path / "book", positions__csv=f"account,instrument,quantity\nA1,BTC-C,{text}\n"))
    assert book.positions.quantity.tolist() == [value]


def test_a_sum_depends_on_no_order_of_rows(tmp_path):
    sums = set()
    for i, order in enumerate(itertools.permutations(["0.1", "0.2", "0.3", "1e9"])):
        rows = "".join(f"A1,BTC-C,{text}\nA2,BTC-F,1\n" for text in order)
        book = read_book(write(tmp_path / str(i), positions__csv="account,instrument,quantity\n" + rows))
        sums.add(book.positions.quantity[0])
    assert len(sums) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e6, 1e6)), min_size=1), st.randoms())
def test_groups(rows, random):
    def sums(pairs):
        key, quantity = np.array([k for k, _ in pairs]), np.array([q for _, q in pairs])
        order, start = holdings._groups(key, quantity)
        assert sorted(order.tolist()) == list(range(len(pairs)))
        assert key[order[start]].tolist() == sorted(set(key.tolist()))
        return np.add.reduceat(quantity[order], start).tolist()

    shuffled = list(rows)
    random.shuffle(shuffled)
    assert sums(rows) == sums(shuffled)


def test_fields_that_do_not_apply_are_noted(tmp_path):
    text = "instrument,kind,underlying,expiry,strike,right,iv\nBTC-C,option,BTC,2026-06-26,1,call,55\n"
    text += "BTC-F,future,BTC,2026-06-26,-5,,\nEUX-S,spot,EUX,2026-06-26,,,0\n"
    notes = read_book(write(tmp_path / "book", instruments__csv=text)).notes
    assert "iv over 5, in per cent? instruments BTC-C (instruments.csv, column iv)" in notes
    ignored = "does not apply to spot, futures and perpetuals, and is ignored there"
    assert f"instruments.csv, column strike: {ignored}: BTC-F" in notes
    assert f"instruments.csv, column iv: {ignored}: EUX-S" in notes
    assert "instruments.csv, column expiry: does not apply to spot and perpetuals, and is ignored there: EUX-S" in notes


def test_unknown_files_and_columns_are_noted_once(tmp_path):
    folder = write(tmp_path / "book", fx__csv="currency,rate,source\nEUR,1.1,ECB\n", readme__md="# Hello\n")
    (folder / "notes.txt").write_text("")
    notes = read_book(folder).notes
    assert notes == ("ignored files: notes.txt, readme.md", "ignored columns: source (fx.csv)")


def test_the_book_is_not_written_to(tmp_path):
    folder = write(tmp_path / "book")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    read_book(folder)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
