"""The benchmark's book is what it says it is."""

import numpy as np
import pytest

from gpu_var.benchmark.house import house


@pytest.mark.parametrize(
    ("instruments", "accounts", "positions"),
    [(500, 40, 3000), (500, 40, 500), (500, 40, 20_000), (7, 1, 7), (30, 300, 2000), (40, 70_000, 5000)],
)
def test_as_many_positions_as_it_says_no_two_alike(instruments: int, accounts: int, positions: int) -> None:
    held = house(instruments, 3, accounts, positions, underlyings=2).book.positions
    key = held.account.astype(np.int64) * instruments + held.instrument
    assert len(held.quantity) == positions
    assert (np.diff(key) > 0).all()  # ascending, and none twice
    assert held.account.min() >= 0
    assert held.account.max() < accounts
    assert np.bincount(held.instrument, minlength=instruments).min() >= 1  # everything is held by somebody
    assert (held.quantity != 0).all()


def test_open_interest_is_concentrated_and_accounts_are_alike() -> None:
    held = house(2000, 3, 100, 20_000, underlyings=2).book.positions
    holders = np.sort(np.bincount(held.instrument, minlength=2000))
    assert holders[-200:].sum() > 0.4 * holders.sum()  # a tenth of the series
    assert holders[-1] == 100
    of_account = np.bincount(held.account, minlength=100)
    assert of_account.min() > 0.7 * 200
    assert of_account.max() < 1.3 * 200


@pytest.mark.parametrize("positions", [9, 31])
def test_a_book_that_cannot_be(positions: int) -> None:
    with pytest.raises(ValueError, match=rf"^{positions} positions in 10 instruments; expected 10 to 30$"):
        house(10, 3, 3, positions)


@pytest.mark.parametrize("rates", [False, True])
def test_factors_are_in_the_order_of_their_names(rates: bool) -> None:
    whole = house(20, 50, 2, 30, underlyings=3, rates=rates)
    factors, shock = whole.factors, whole.sets[0].shock
    assert list(factors.names) == sorted(factors.names)
    assert shock.shape == (50, len(factors.names))
    assert factors.kind == tuple(name.split(":")[0] for name in factors.names)
    assert [factors.names[f] for f in factors.spot] == ["spot:U0000", "spot:U0001", "spot:U0002"]
    assert [factors.names[t.factor[0]] for t in factors.iv] == [f"iv:U000{u}:30d" for u in range(3)]
    assert [factors.names[f] for f in factors.rate[0].factor] == ["rate:USD:30d", "rate:USD:730d"][: 2 * rates]
    size = np.std(shock, axis=0)
    assert (size[factors.rate[0].factor] < 0.001).all()
    assert (size[factors.spot] > 0.005).all()
