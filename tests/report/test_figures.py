"""The numbers behind the plots."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gpu_var.report import figures
from gpu_var.report.money import count, decimals, money

LOSSES = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=20),
    elements=st.floats(-1e12, 1e12) | st.just(np.nan),
)


@given(LOSSES, st.integers(1, 12))
def test_every_finite_loss_lies_in_its_bin(losses, number):
    first, width, counts = figures.bins(losses, number)
    assert counts.shape == (len(losses), number)
    np.testing.assert_array_equal(counts.sum(axis=1), np.isfinite(losses).sum(axis=1))
    assert (width > 0).all()
    slack = 1e-6 * width + 1e-9 * np.abs(first)
    for row, low, step, more, found in zip(losses, first, width, slack, counts, strict=True):
        edges = low + step * np.arange(number + 1)
        for place in np.flatnonzero(found):
            assert ((row >= edges[place] - more) & (row <= edges[place + 1] + more)).sum() >= found[place]


def test_bins_of_known_losses():
    first, width, counts = figures.bins(np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [-8.0, -8.0, 0.0, 8.0, np.nan]]), 4)
    assert first.tolist() == [0.0, -8.0]
    assert width.tolist() == [1.0, 4.0]
    assert counts.tolist() == [[1, 1, 1, 2], [2, 0, 1, 1]]


def test_the_composition_adds_up_to_the_margins(run):
    figure = figures.composition(run)
    go.Figure(figure)  # raises where plotly would not know a property
    largest = run.margin.sort_by([("margin", "descending"), ("account", "ascending")])
    stacked = np.sum([trace["x"] for trace in figure["data"]], axis=0)
    np.testing.assert_allclose(stacked, largest["margin"].to_numpy(), rtol=1e-14)
    assert figure["layout"]["yaxis"]["ticktext"] == [figures.label(name) for name in largest["account"].to_pylist()]


def test_the_histograms_are_of_the_pnl(run):
    found = figures.histograms(run)
    names = run.margin["account"].to_pylist()
    assert [model["scenarios"] for model in found["models"]] == [50, 400]
    for model, key, prefix in zip(found["models"], ("fhs", "monte_carlo"), ("fhs", "mc"), strict=True):
        for at, name in enumerate(found["accounts"]):
            row = names.index(name)
            losses = -run.pnl[key][row]
            assert sum(model["counts"][at]) == len(losses)
            assert model["first"][at] == losses.min()
            assert model["es"][at] == run.margin[f"{prefix}_es"][row].as_py()
            assert model["var"][at] <= model["es"][at] <= model["worst"][at]


def test_failed_accounts_come_last_and_hold_no_number(run):
    broken = run.margin.to_pylist()
    for row in broken:
        if row["account"] == "plain":
            row |= {"status": "failed: why", "margin": None, "core": None, "fhs_es": None}
    pnl = {model: values.copy() for model, values in run.pnl.items()}
    at = run.margin["account"].to_pylist().index("plain")
    for values in pnl.values():
        values[at] = np.nan
    other = replace(run, margin=pa.Table.from_pylist(broken, run.margin.schema), pnl=pnl)
    found = figures.histograms(other)
    assert found["accounts"][-1] == "plain"
    assert found["models"][0]["es"][-1] is None
    assert sum(found["models"][0]["counts"][-1]) == 0
    assert figures.composition(other)["data"][0]["x"][-1] is None


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
