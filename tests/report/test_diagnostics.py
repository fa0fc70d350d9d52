"""What is kept of every account's losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gpu_var.margin import diagnostics

LOSSES = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=20),
    elements=st.floats(-1e12, 1e12) | st.just(np.nan),
)


@given(LOSSES, st.integers(1, 12))
def test_every_finite_loss_lies_in_its_bin(losses, number):
    first, width, counts = diagnostics.bins(losses, number)
    assert counts.shape == (len(losses), number)
    np.testing.assert_array_equal(counts.sum(axis=1), np.isfinite(losses).sum(axis=1))
    assert (width > 0).all()
    slack = 1e-6 * width + 1e-9 * np.abs(first)
    for row, low, step, more, found in zip(losses, first, width, slack, counts, strict=True):
        edges = low + step * np.arange(number + 1)
        for place in np.flatnonzero(found):
            assert ((row >= edges[place] - more) & (row <= edges[place + 1] + more)).sum() >= found[place]


def test_bins_of_known_losses():
    first, width, counts = diagnostics.bins(np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [-8.0, -8.0, 0.0, 8.0, np.nan]]), 4)
    assert first.tolist() == [0.0, -8.0]
    assert width.tolist() == [1.0, 4.0]
    assert counts.tolist() == [[1, 1, 1, 2], [2, 0, 1, 1]]


@pytest.fixture(params=[1 << 22, 1000], ids=["one tile", "tiles"])
def tile(request, monkeypatch):
    monkeypatch.setattr(diagnostics, "_TILE", request.param)


@pytest.mark.usefixtures("tile")
def test_exceedances_are_counted(run):
    accounts = run.measured.book.accounts
    told = diagnostics.diagnostics(run.margin, run.pnl, accounts)
    assert told["account"].to_pylist() == run.margin["account"].to_pylist()
    assert set(told["kind"].to_pylist()) == {"client"}
    margins, rows = run.margin.to_pylist(), told.to_pylist()
    for at, (margin, row) in enumerate(zip(margins, rows, strict=True)):
        for model, prefix in (("fhs", "fhs"), ("monte_carlo", "mc")):
            losses = -run.pnl[model][at]
            for limit, name in (("margin", "margin"), ("fhs_var", "fhs_var"), ("mc_var", "mc_var")):
                assert row[f"{prefix}_beyond_{name}"] == int(np.sum(losses > margin[limit]))
            assert sum(row[f"{prefix}_counts"]) == len(losses)
            assert row[f"{prefix}_first"] == losses.min()
    held = [row for row, margin in zip(rows, margins, strict=True) if margin["core_model"]]
    assert max(row["mc_beyond_mc_var"] for row in held) == 3  # 400 paths at 99 %: the fourth worst is the VaR
    assert any(row["mc_beyond_fhs_var"] != 3 for row in held)


def test_a_failed_account_has_its_names_alone(run):
    at = run.margin["account"].to_pylist().index("plain")
    pnl = {model: values.copy() for model, values in run.pnl.items()}
    for values in pnl.values():
        values[at] = np.nan
    told = diagnostics.diagnostics(run.margin, pnl, run.measured.book.accounts)
    row = told.slice(at, 1).to_pylist()[0]
    assert {name for name, value in row.items() if value is not None} == {"account", "kind"}
    assert told["fhs_counts"].null_count == 1
