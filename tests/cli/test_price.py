"""`gpu-var price`."""

import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli.small import tree

from gpu_var.cli import main

COLUMNS = ["instrument", "price", "forward", "iv", "delta", "gamma", "vega", "theta", "rho"]


def test_standard_output_reads_back_as_the_same_numbers(book, tmp_path, capsys):
    assert main(["price", str(book)]) == 0
    text = capsys.readouterr().out
    assert main(["price", str(book), "--out", str(tmp_path / "p.parquet"), "--quiet"]) == 0
    table = pq.read_table(tmp_path / "p.parquet")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == table.column_names == COLUMNS
    for read, wanted in zip(rows, table.to_pylist(), strict=True):
        assert read.pop("instrument") == wanted.pop("instrument")
        assert {name: float(value) if value else None for name, value in read.items()} == wanted


def test_every_format_holds_the_same(book, tmp_path):
    for suffix in ("csv", "parquet", "arrow"):
        assert main(["price", str(book), "--out", str(tmp_path / f"p.{suffix}"), "--quiet"]) == 0
    table = pq.read_table(tmp_path / "p.parquet")
    with pa.memory_map(str(tmp_path / "p.arrow")) as source:
        assert pa.ipc.open_file(source).read_all().equals(table)
    assert table["instrument"].to_pylist() == ["X", "X-C", "X-P"]
    assert table["iv"].to_pylist()[0] is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book", "p.arrow", "p.csv", "p.parquet"]


@pytest.mark.parametrize("place", ["book/p.csv", "book/vols.csv"])
def test_the_book_is_never_written_to(book, tmp_path, capsys, place):
    before = tree(tmp_path)
    assert main(["price", str(book), "--out", str(tmp_path / place)]) == 2
    assert "a book is never written to" in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_places_that_cannot_be_written(book, tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    assert main(["price", str(book), "--out", str(tmp_path / "folder.csv")]) == 2
    assert "is a folder; give a file" in capsys.readouterr().err
    assert main(["price", str(book), "--out", str(tmp_path / "none" / "p.csv")]) == 1
    assert f"cannot write {tmp_path / 'none' / 'p.csv'}" in capsys.readouterr().err
