"""`gpu-var compare`: what it writes, what it says, what it refuses."""

import json
import re

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from margin.compare_books import WORST, stocks, write_stocks

import gpu_var as gv
from gpu_var.batch.errors import UsageError
from gpu_var.cli import main
from gpu_var.margin.compare import METHODS
from gpu_var.report.compare import command
from gpu_var.tables.config_compare import RegT
from gpu_var.tables.findings import InputError

HOSTILE = "</script><script>alert(1)</script>"
COLLATERAL = [{"account": HOSTILE, "asset": "USD", "quantity": 500.0}]


def run(folder, out=None, **options):
    return command(
        folder, None, out, **{"backend": "cpu", "precision": "float64", "threads": 1, "quiet": True, **options}
    )


@pytest.fixture
def book(tmp_path):
    held = {HOSTILE: {"A": 2.0, "A-C": -1.0}, "=1+1": {"A-P": -2.0}, "[red]": {"B-perp": 3.0}}
    return write_stocks(tmp_path / "book", stocks(held, collateral=COLLATERAL))


def test_files_stand_beside_the_book_unless_said(book):
    assert run(book) == 0
    table = pq.read_table(book.with_name("book-compare.parquet"))
    assert table["account"].to_pylist() == [HOSTILE, "=1+1", "[red]"]
    assert {*METHODS, "utilisation_reg_t", "equity_to_maintenance", "volume_to_collateral"} <= {*table.column_names}
    assert book.with_name("book-compare.html").exists()
    before = table
    assert run(book) == 0  # again, in place
    assert pq.read_table(book.with_name("book-compare.parquet")).equals(before)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow"])
def test_out_by_suffix(book, tmp_path, name):
    assert run(book, tmp_path / name) == 0
    assert (tmp_path / name).exists()
    assert (tmp_path / "a.html").exists()
    if name == "a.csv":
        read = pyarrow.csv.read_csv(tmp_path / name)
        assert read.num_rows == 3
        assert read["reg_t"].to_pylist() == pytest.approx(_table(book)["reg_t"].to_pylist())


def _table(book):
    run(book)
    return pq.read_table(book.with_name("book-compare.parquet"))


def test_out_may_be_a_folder(book, tmp_path):
    assert run(book, tmp_path / "new" / "deep") == 0
    assert sorted(p.name for p in (tmp_path / "new" / "deep").iterdir()) == ["compare.html", "compare.parquet"]
    (tmp_path / "x.csv").mkdir()
    assert run(book, tmp_path / "x.csv") == 0
    assert (tmp_path / "x.csv" / "compare.parquet").exists()


def test_refused_before_anything_is_computed(book, tmp_path):
    with pytest.raises(UsageError, match="never written to"):
        run(book, book / "compare.parquet")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UsageError, match="no known kind"):
        run(book, tmp_path / "notes.txt")
    (tmp_path / "a.html").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        run(book, tmp_path / "a.csv")


def test_page_needs_no_network_and_escapes_names(book):
    run(book)
    page = book.with_name("book-compare.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "<bdi>&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;</bdi>" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert len(data["accounts"]) == 3
    assert len(data["margins"]) == len(METHODS)
    assert data["totals"] == pytest.approx([sum(_table(book)[m].to_pylist()) for m in METHODS])
    assert not re.search(r'(?:src|href)="(?!data:)', page.split('<script type="application/json"')[0])


def test_terminal_shows_totals_and_where_the_files_are(book, capsys):
    assert run(book, quiet=False) == 0
    out = capsys.readouterr().out
    assert "Reg T style" in out
    assert "[red]" in out  # no markup
    assert "all 3" in out
    assert "less than isolated" in out
    assert "book-compare.html" in out.replace("\n", "")
    run(book)
    assert capsys.readouterr().out == ""


def test_failed_accounts_leave_exit_code_3(tmp_path, capsys):
    book = stocks({"huge": {"B": 1e15}, "plain": {"A": 1.0}})
    book["underlyings"][1]["spot"] = 1e300
    path = write_stocks(tmp_path / "book", book)
    assert run(path) == 3
    said = capsys.readouterr().err
    assert "1 of 2 accounts failed" in said
    assert "error: account huge: failed" in said
    page = path.with_name("book-compare.html").read_text(encoding="utf-8")
    assert "1 account failed and is not in the totals" in page


def test_unknown_broad_index_is_a_finding(tmp_path):
    path = write_stocks(
        tmp_path / "book", stocks({"a": {"A": 1.0}}), WORST + '[compare.reg_t]\nbroad_index = ["SPX"]\n'
    )
    with pytest.raises(InputError, match=r"margin.toml, key compare.reg_t.broad_index: 'SPX' is no underlying"):
        run(path)


RATES = ["naked", "naked_index", "naked_minimum", "stock", "futures", "long_term"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        *((rate, value, "a number from 0 to 1") for rate in RATES for value in (-0.01, 1.01)),
        ("long_term_months", -1.0, "a number of months from 0 to 120"),
        ("long_term_months", 120.1, "a number of months from 0 to 120"),
        ("broad_index", '"SPX"', "a list of underlyings"),
    ],
)
def test_parameters_out_of_range(tmp_path, key, value, text):
    file = tmp_path / "margin.toml"
    file.write_text(WORST + f"[compare.reg_t]\n{key} = {value}\n")
    with pytest.raises(InputError, match=rf"margin.toml, key compare.reg_t.{key}: .*; expected {text}"):
        gv.Config.load(file)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_parameters_at_their_bounds(tmp_path, value):
    file = tmp_path / "margin.toml"
    file.write_text(WORST + "[compare.reg_t]\n" + "".join(f"{rate} = {value}\n" for rate in RATES))
    loaded = gv.Config.load(file).compare
    assert loaded is not None
    assert loaded.reg_t == RegT(**dict.fromkeys(RATES, value))


def test_unknown_key_names_the_nearest(tmp_path, capsys):
    path = write_stocks(tmp_path / "book", stocks({"a": {"A": 1.0}}), WORST + "[compare.reg_t]\nnaked_minimun = 0.1\n")
    assert main(["validate", str(path)]) == 2
    assert "the nearest known one is 'naked_minimum'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("volume", "text"),
    [("-1", "expected a volume traded of 0 or more"), ("much", "'much' is not a number"), ("inf", "not finite")],
)
def test_volumes_that_are_none(tmp_path, volume, text):
    book = stocks({"a": {"A": 1.0}}, accounts=[{"account": "a", "volume": volume}])
    with pytest.raises(InputError, match=text):
        gv.read_book(write_stocks(tmp_path / "book", book))


def test_volume_misspelt_is_a_finding(tmp_path):
    book = stocks({"a": {"A": 1.0}}, accounts=[{"account": "a", "volumes": 3.0}])
    with pytest.raises(InputError, match="volume"):
        gv.read_book(write_stocks(tmp_path / "book", book))
