"""The cap on the diversification benefit: by hand, on a book, and its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from margin.charge_books import measure, row

from gpu_var.margin import diversification
from gpu_var.margin.diversification import undiversified

FHS = "[fhs]\nlookback = 300\n"


def test_by_hand():
    # Alone 100 and 60 (a third earns in every scenario), together 90: of the 70 saved, 80 % are recognised.
    alone = np.maximum([100.0, 60.0, -20.0], 0.0).sum()
    found = undiversified(np.full(4, alone), np.array([90.0, -5.0, 200.0, 160.0]), 0.8)
    np.testing.assert_allclose(found, [14.0, 32.0, 0.0, 0.0])


@pytest.mark.parametrize("cap", [0.0, 0.8, 1.0])
def test_on_a_book(tmp_path, cap):
    held = {"A": 100.0, "B": -160.0}
    accounts = {"both": held, "a": {"A": 100.0}, "b": {"B": -160.0}, "hedged": {"A": 10.0, "A-perp": -5.0}}
    m = measure(tmp_path / "book", f"{FHS}[diversification]\ncap = {cap}\n", **accounts)
    found, core = diversification.charge(m), m.core.amount
    both, a, b = (row(m, name) for name in ("both", "a", "b"))
    total = core[both] + found[both]
    assert total == pytest.approx(core[both] * cap + (core[a] + core[b]) * (1 - cap))
    # On one underlying there is nothing to diversify.
    assert found[a] == found[b] == found[row(m, "hedged")] == 0
    assert (found[both] > 0) == (cap < 1)


def test_without_its_table_there_is_none(tmp_path):
    assert diversification.charge(measure(tmp_path / "book", FHS, a={"A": 1.0})) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 1))
def test_properties(cells, core, cap, other):
    alone = float(np.maximum(cells, 0.0).sum())

    def charge(cap):
        return float(undiversified(np.array([alone]), np.array([core]), cap)[0])

    low, high = sorted([cap, other])
    assert charge(1.0) == 0 <= charge(high) <= charge(low)
    assert max(0.0, core) + charge(low) <= max(alone, core, 0.0) * (1 + 1e-12)
    assert undiversified(np.array([max(0.0, core)]), np.array([core]), cap)[0] == 0
