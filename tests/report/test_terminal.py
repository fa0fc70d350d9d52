"""What a terminal shows."""

import io
import time
from dataclasses import replace

import pyarrow as pa
import pytest
from rich.console import Console

from gpu_var.report import terminal


def shown(run, width):
    out = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    out.print(terminal._margins(run, width))
    return out.file.getvalue()


def test_the_narrowest_terminal_cuts_no_number(run):
    rows = [row | {"margin": 12_345_678.9, "core": 9_876_543.2} for row in run.margin.to_pylist()]
    rows[0]["account"] = "n" * 200
    large = replace(run, margin=pa.Table.from_pylist(rows, run.margin.schema))
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
    text = shown(replace(run, margin=pa.Table.from_pylist(rows, run.margin.schema)), 120)
    assert r"a\u202eb\u200b[bold]c[/bold]" in text


class Screen(io.StringIO):
    def __init__(self, terminal_there):
        super().__init__()
        self.terminal_there = terminal_there

    def isatty(self):
        return self.terminal_there


@pytest.mark.parametrize(
    ("there", "wanted", "delay", "bar"),
    [(True, True, 0.0, True), (True, True, 60.0, False), (True, False, 0.0, False), (False, True, 0.0, False)],
    ids=["slow", "quick", "quiet", "no terminal"],
)
def test_a_bar_only_for_those_who_wait_at_a_terminal(monkeypatch, there, wanted, delay, bar):
    screen = Screen(there)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal.ProgressBar, "DELAY", delay)
    with terminal.ProgressBar(wanted) as progress:
        progress("revalue", 0.25)
        deadline = time.monotonic() + 20
        while bar and "25 %" not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        progress("writing")
    text = screen.getvalue()
    assert ("revalue" in text, "25 %" in text) == (bar, bar)
