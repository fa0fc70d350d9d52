"""What a terminal shows of a stress test."""

import io

import pytest
from report.stress_houses import stressed
from rich.console import Console

from gpu_var.report import stress_terminal
from gpu_var.report.money import money


def shown(source, width, monkeypatch):
    out = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    monkeypatch.setattr(stress_terminal, "console", lambda: out)
    stress_terminal.show(source, "OUT")
    return out.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_no_number_is_cut(width, monkeypatch):
    source = stressed(scenario_names=[f"history:an-event-with-a-long-name-{i}:1d-down" for i in range(40)], size=1e8)
    text = shown(source, width, monkeypatch)
    tables = [line for line in text.splitlines() if not line.startswith(("Cover", "\u2068", "member"))]
    assert max(map(len, tables)) <= width
    for at in source.order[:10]:
        for name in ("cover_1", "cover_n", "uncovered"):
            assert money(float(source.cover(name)[at]), 0) in text
    w, at = source.waterfall, int(source.order[0])
    for has, pays in zip(w.available[at][:-1], w.used[at], strict=False):
        assert money(float(pays), 0) in text
        assert money(float(has), 0) in text


def test_the_verdict_is_one_line_and_the_last_but_one(monkeypatch):
    lines = shown(stressed(), 80, monkeypatch).splitlines()
    assert lines[-1] == "outputs: OUT"
    assert lines[-2].startswith("Cover 2 ")
    assert lines[-2].endswith(".")


def test_names_cannot_steer_the_terminal(monkeypatch):
    evil = ["a\u202eb", "[bold]c[/bold]", "\x1b[31md"]
    source = stressed(members=3, names=evil, scenarios=3, scenario_names=[f"{one}!" for one in evil])
    text = shown(source, 140, monkeypatch)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]c[/bold]" in text
    assert r"\x1b[31md" in text


def test_without_resources_and_without_scenarios(monkeypatch):
    text = shown(stressed(resources=False, broken=False), 100, monkeypatch)
    assert "uncovered" not in text
    assert "No resources are given that would have to cover it." in text
    none = stressed(scenarios=0, accounts=4, members=2, broken=False)
    assert shown(none, 100, monkeypatch).splitlines()[0] == "There are no scenarios."
