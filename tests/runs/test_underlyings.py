"""The order in which the engine takes instruments, and the listed options beside them, against a sort by columns."""

import numpy as np
import pytest

from gpu_var.benchmark.house import house
from gpu_var.market.state import underlyings
from gpu_var.tables.book import NO_EXPIRY

COLUMNS = ("kind", "strike", "sign", "american", "inverse", "multiplier", "vol")


@pytest.fixture(scope="module", params=["strikes above 0", "strikes of any sign"])
def book_and_config(request):
    """Spots, perpetuals, futures and options, with ties in all that orders them; some have their own volatility."""
    whole = house(3000, 2, 5, 9000, underlyings=7)
    i, rng = whole.book.instruments, np.random.default_rng(1)
    i.strike[:] = np.round(i.strike, -1) + 10.0
    i.kind[::11] = rng.integers(0, 4, len(i.kind[::11]))
    other = i.kind != 3
    i.strike[other], i.sign[other], i.american[other] = np.nan, 0, False
    i.expiry[(i.kind == 0) | (i.kind == 2)] = NO_EXPIRY
    i.iv[::5] = 0.3
    i.multiplier[:] = rng.random(len(i.multiplier))
    if request.param != "strikes above 0":
        i.strike[:] -= 60.0
        i.strike[::50] = -0.0
    return whole.book, whole.config


@pytest.mark.parametrize("some", ["all", "a few", "in no order", "one", "no American option"])
def test_order(book_and_config, some):
    book, config = book_and_config
    i, rng = book.instruments, np.random.default_rng(2)
    rows = {
        "all": np.arange(3000),
        "a few": np.flatnonzero(rng.random(3000) < 0.1),
        "in no order": rng.permutation(3000)[:700],
        "one": np.array([5]),
        "no American option": np.flatnonzero(~i.american),
    }[some]

    def ordered(at):
        keys = (i.strike, np.isnan(i.iv), i.american, i.sign, i.kind, i.expiry, i.underlying)
        return at[np.lexsort([key[at] for key in keys])]

    right = ordered(rows)
    parts = underlyings(book, config, rows)
    assert [part.position for part in parts] == sorted({*i.underlying[rows].tolist()})
    np.testing.assert_array_equal(np.concatenate([part.row for part in parts]), right)

    chains = {(i.underlying[r], i.expiry[r], i.sign[r]) for r in rows if i.american[r]}
    american = np.flatnonzero(i.american)
    listed = [r for r in american if (i.underlying[r], i.expiry[r], i.sign[r]) in chains]
    listed = ordered(np.array(listed, dtype=np.int64))
    for part in parts:
        for of, at in ((part.instruments, part.row), (part.listed, listed[i.underlying[listed] == part.position])):
            assert (np.diff(of.maturity) >= 0).all()
            for name in COLUMNS:
                column = getattr(i, "iv" if name == "vol" else name)[at]
                # Of options alike in all that orders them, the listed ones' multipliers may stand in any order.
                if of is part.instruments or name != "multiplier":
                    np.testing.assert_array_equal(getattr(of, name), column, err_msg=name)


def test_none():
    whole = house(20, 2, 2, 40, underlyings=1)
    assert underlyings(whole.book, whole.config, np.zeros(0, np.int64)) == []
