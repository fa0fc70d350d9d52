"""What a terminal shows."""

import io
from dataclasses import replace

import pyarrow as pa
import pytest
from cli.small import write_book
from rich.console import Console

from gpu_var.cli import main
from gpu_var.report import terminal


def shown(run, width):
    out = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    out.print(terminal._margins(run, width))
    return out.file.getvalue()


def with_margin(run, rows):
    return replace(run, tables={**run.tables, "margin": pa.Table.from_pylist(rows, run.margin.schema)})


def test_the_narrowest_terminal_cuts_no_number(run):
    rows = [row | {"margin": 12_345_678.9, "core": 9_876_543.2} for row in run.margin.to_pylist()]
    rows[0]["account"] = "n" * 200
    large = with_margin(run, rows)
    text = shown(large, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("12,345,679") == len(rows)
    assert text.count("9,876,543") == len(rows)
    assert "74,074,073" in text
    scenarios = [row["worst_scenario"] for row in rows if row["worst_scenario"]]
    assert all(name in text for name in scenarios)
    assert "model" not in text
    assert "model" in shown(large, 120)


def test_the_largest_first_and_the_rest_counted(run, monkeypatch):
    monkeypatch.setattr(terminal, "LARGEST", 2)
    text = shown(run, 120)
    names = run.margin.sort_by([("margin", "descending")])["account"].to_pylist()
    assert "The 2 largest of 6 margins, in USD" in text
    assert [name for name in names if name in text] == names[:2]
    assert "all 6" in text


def test_names_cannot_steer_the_terminal(run):
    rows = run.margin.to_pylist()
    rows[0]["account"] = "a\u202eb\u200b[bold]c[/bold]"
    text = shown(with_margin(run, rows), 120)
    assert r"a\u202eb\u200b[bold]c[/bold]" in text


def test_charges_are_one_column_of_what_adds_up(tmp_path, capsys):
    book = write_book(tmp_path / "book")
    with (book / "margin.toml").open("a") as stream:
        stream.write("[options]\ngamma_move = 0.1\nvega_points = 0.05\n")
    assert main(["run", str(book)]) == 0
    said = capsys.readouterr().out
    head = next(line for line in said.splitlines() if "margin" in line and "core" in line)
    assert head.split()[:6] == ["account", "margin", "core", "concentration", "liquidity", "charges"]
    totals = next(line for line in said.splitlines() if line.strip().startswith("all "))
    margin, *parts = (float(text.replace(",", "")) for text in totals.split()[2:7])
    assert margin == pytest.approx(sum(parts), abs=0.05)
    assert parts[-1] > 0
