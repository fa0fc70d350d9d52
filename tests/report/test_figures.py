"""The numbers behind the plots."""

import pytest
from report.houses import house

from gpu_var.report import figures
from gpu_var.report.money import count, decimals, money


def test_the_composition_adds_up_to_the_margins():
    source = house(50, seed=1, failed=40)
    bars = figures.composition(source)
    largest = source.margin.sort_by([("margin", "descending"), ("account", "ascending")])
    assert [bar["account"] for bar in bars] == largest["account"].to_pylist()[:10]  # the others failed
    for bar in bars:
        assert sum(amount for _, amount, _ in bar["parts"]) == pytest.approx(bar["margin"], rel=1e-12)
    widths = [sum(width for _, _, width in bar["parts"]) for bar in bars]
    assert widths[0] == pytest.approx(1.0)
    assert widths == sorted(widths, reverse=True)


def test_the_histograms_are_of_the_pnl(run, ended):
    rows = figures.by_margin(ended, figures.HISTOGRAMS)
    found = figures.histograms(ended, rows, 2)
    names = run.margin["account"].to_pylist()
    assert [model["scenarios"] for model in found["models"]] == [50, 400]
    for model, key, prefix in zip(found["models"], ("fhs", "monte_carlo"), ("fhs", "mc"), strict=True):
        for at, name in enumerate(found["accounts"]):
            row = names.index(name)
            losses = -run.pnl[key][row]
            assert sum(model["counts"][at]) == len(losses)
            assert model["first"][at] == pytest.approx(losses.min(), abs=1e-5)
            assert model["es"][at] == round(run.margin[f"{prefix}_es"][row].as_py(), 2)
            assert model["var"][at] <= model["es"][at] <= model["worst"][at]


def test_failed_accounts_come_last_and_hold_no_number():
    source = house(5, seed=2, failed=1)
    found = figures.histograms(source, figures.by_margin(source), 2)
    assert found["accounts"][-1] == "account-000004"
    assert found["models"][0]["es"][-1] is None
    assert found["models"][0]["counts"][-1] == []


def test_labels_are_text_for_plotly():
    assert figures.label("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"
    assert figures.label("a" * 1000) == "a" * 27 + "…"


def test_amounts():
    assert [decimals(x) for x in (0.0, 5_000_000.0, 1234.5, 99.0, 1.0, 0.00123, float("nan"))] == [2, 2, 2, 4, 5, 8, 2]
    assert money(1234567.891) == "1,234,567.89"
    assert money(-0.001) == "0.00"
    assert money(-1234.5, 0) == "-1,234"
    assert money(None) == "–"
    assert [count(x) for x in (999, 12_345, 1_234_567, 5e9)] == ["999", "12,345", "1.23 million", "5 billion"]
