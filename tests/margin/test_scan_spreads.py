"""Inter-month and delivery charges, inter-commodity credits: worked by hand, and what holds of any deltas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_var.cells import Cells
from gpu_var.margin.scan.credits import inter_commodity
from gpu_var.margin.scan.spreads import Pools, days_to, delivery, form, inter_month, pools, tier_of
from gpu_var.tables.book import NO_EXPIRY
from gpu_var.tables.config_spreads import Delivery, InterCommodity, InterMonth

NAMES = ["CL", "HO", "NG"]
DAY = 86_400 * 1_000_000

delta = st.floats(-1e4, 1e4).map(lambda x: round(x, 2))


def units(n, wfpr=0.0, reach=0.0):
    return {"flat": np.ones(n), "range": np.full(n, reach), "wfpr": np.full(n, wfpr)}


def spread(legs, charge, **rest):
    return InterMonth(legs=legs, charge=charge, **rest)


def charged(expiries, spreads, of_cell=0, **unit):
    """The charge and what remains of one cell that holds {tier: [net delta of each expiry]}."""
    tier = np.array([t for t, deltas in expiries.items() for _ in deltas])
    held = np.array([d for deltas in expiries.values() for d in deltas], dtype=float)
    pool = pools(held, np.zeros(len(held), dtype=np.int64), tier, 1)
    charge, left = inter_month(pool, NAMES, np.array([of_cell], dtype=np.int32), spreads, units(1, **unit))
    return float(charge[0]), left


def test_expiries_fall_into_tiers_by_days():
    days = days_to(np.array([NO_EXPIRY, 30 * DAY, 31 * DAY, 90 * DAY, 400 * DAY]), 0)
    assert np.isnan(days[0])
    assert tier_of(days, (30.0, 90.0)).tolist() == [0, 1, 2, 2, 3]
    assert tier_of(days, ()).tolist() == [0, 1, 1, 1, 1]


def test_a_calendar_spread_is_charged_once_a_spread():
    charge, left = charged({1: [10], 2: [-7]}, [spread([[1, 1], [2, -1]], 100.0)])
    assert charge == 700.0
    assert (left.long.tolist(), left.short.tolist()) == ([[0, 3, 0]], [[0, 0, 0]])


def test_a_spread_is_formed_either_way_round():
    legs = [[1, 1], [2, -1]]
    assert charged({1: [-10], 2: [7]}, [spread(legs, 100.0)])[0] == 700.0


def test_expiries_of_one_tier_net_only_by_a_spread():
    # Net deltas of the tier's expiries: long 9, short 4.
    charge, left = charged({1: [4, -4, 5]}, [spread([[1, 1], [1, -1]], 10.0)])
    assert charge == 40.0
    assert left.net.tolist() == [5.0]


def test_priorities_decide_who_gets_the_delta():
    near, far = spread([[1, 1], [2, -1]], 100.0, priority=1), spread([[1, 1], [3, -1]], 150.0, priority=2)
    held = {1: [10], 2: [-6], 3: [-8]}
    assert charged(held, [far, near])[0] == 6 * 100 + 4 * 150
    last = spread([[1, 1], [2, -1]], 100.0, priority=3)
    assert charged(held, [far, last])[0] == 8 * 150 + 2 * 100


def test_a_butterfly_needs_every_leg():
    legs = [[1, 1], [2, -2], [3, 1]]
    charge, left = charged({1: [5], 2: [-8], 3: [3]}, [spread(legs, 20.0)])
    assert charge == 3 * 20.0
    assert left.long.tolist() == [[0, 2, 0, 0]]
    assert left.short.tolist() == [[0, 0, 2, 0]]
    assert charged({1: [5], 2: [-8]}, [spread(legs, 20.0)])[0] == 0.0


def test_a_leg_that_is_named_twice_needs_both():
    assert charged({1: [6], 2: [-6]}, [spread([[1, 1], [1, 1], [2, -2]], 10.0)])[0] == 30.0


def test_spot_and_perpetuals_are_tier_zero():
    assert charged({0: [2], 1: [-5]}, [spread([[0, 1], [1, -1]], 10.0)])[0] == 20.0


def test_charges_are_money_or_a_share():
    legs, held = [[1, 1], [2, -1]], {1: [10], 2: [-7]}
    assert charged(held, [spread(legs, 0.1, charge_in="range")], reach=50.0)[0] == pytest.approx(7 * 0.1 * 50)
    assert charged(held, [spread(legs, 0.2, charge_in="wfpr")], wfpr=30.0)[0] == pytest.approx(7 * 0.2 * 30)


def test_every_underlying_but_those_with_spreads_of_their_own():
    legs, held = [[1, 1], [2, -1]], {1: [1], 2: [-1]}
    both = [spread(legs, 5.0), spread(legs, 8.0, underlying="HO")]
    assert [charged(held, both, of_cell=u)[0] for u in range(3)] == [5.0, 8.0, 5.0]


@given(st.lists(delta, min_size=1, max_size=5), st.lists(delta, min_size=1, max_size=5))
def test_spreads_take_no_more_than_there_is(near, far):
    charge, left = charged({1: near, 2: far}, [spread([[1, 1], [2, -1]], 1.0), spread([[1, 1], [1, -1]], 1.0)])
    held = sum(abs(d) for d in near + far)
    assert (left.long >= 0).all()
    assert (left.short >= 0).all()
    # Each of these spreads takes one long and one short, so the net delta stays.
    assert left.net[0] == pytest.approx(sum(near + far), abs=1e-8 * max(1.0, held))
    assert 0 <= charge <= held / 2 + 1e-8 * held
    assert charge == pytest.approx((held - left.long.sum() - left.short.sum()) / 2, abs=1e-8 * max(1.0, held))


def test_a_tier_that_nobody_holds_gives_no_spread():
    assert form(np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]]), [(1, 1.0), (2, -1.0)]).tolist() == [0.0]


def near(deltas, tiers, days, spreads, charges, **unit):
    """Delivery charge of one cell."""
    deltas, tiers = np.array(deltas, dtype=float), np.array(tiers)
    cell, of_cell = np.zeros(len(deltas), dtype=np.int64), np.zeros(1, dtype=np.int32)
    pool = pools(deltas, cell, tiers, 1)
    _, left = inter_month(pool, NAMES, of_cell, spreads, units(1, **unit))
    return float(
        delivery(deltas, cell, tiers, np.array(days), pool, left, NAMES, of_cell, charges, units(1, **unit))[0]
    )


def test_delivery_charges_spread_and_outright_deltas():
    calendar = [spread([[1, 1], [2, -1]], 100.0)]
    charge = Delivery(days=5, spread=10.0, outright=25.0)
    # Of ten near deltas seven stand in the calendar spread; the far ones are not close.
    assert near([10, -7], [1, 2], [3.0, 60.0], calendar, [charge]) == 7 * 10 + 3 * 25
    assert near([10, -7], [1, 2], [6.0, 60.0], calendar, [charge]) == 0.0
    assert near([10, -7], [1, 2], [5.0, 60.0], [], [charge]) == 10 * 25
    # Two expiries of a tier share its spreads in proportion: seven of fourteen.
    assert near([4, 10, -7], [1, 1, 2], [3.0, 20.0, 60.0], calendar, [charge]) == pytest.approx(2 * 10 + 2 * 25)


def test_delivery_is_not_charged_on_spot_nor_on_what_has_expired():
    charge = [Delivery(days=5, outright=1.0)]
    assert near([3, 4], [0, 1], [np.nan, -1.0], [], charge) == 0.0
    assert near([-4], [1], [1.0], [], [Delivery(days=5, outright=0.5, charge_in="range")], reach=10.0) == 20.0


def credit(deltas, wfpr, spreads, most=np.inf, n_accounts=1):
    """Credits of cells {(underlying, account): delta}."""
    keys = sorted(deltas)
    cells = Cells(
        np.array([a for _, a in keys], dtype=np.int32),
        np.array([u for u, _ in keys], dtype=np.int32),
        np.arange(len(keys)),
    )
    d = np.array([deltas[key] for key in keys], dtype=float)
    w = np.array([wfpr[u] for u, _ in keys], dtype=float)
    amount = inter_commodity(cells, n_accounts, d, w, np.full(len(keys), most), NAMES, spreads)
    return dict(zip(keys, amount.tolist(), strict=True))


CRACK = InterCommodity(legs=[["CL", 3], ["HO", -2], ["NG", -1]], credit=0.6)
PAIR = InterCommodity(legs=[["CL", 1], ["HO", -1]], credit=0.5, priority=2)


def test_credit_of_a_crack_spread():
    # n = min(30/3, 16/2, 9/1) = 8 spreads: 24, 16 and 8 deltas.
    amount = credit({(0, 0): 30, (1, 0): -16, (2, 0): -9}, {0: 1000, 1: 2000, 2: 500}, [CRACK])
    assert amount == pytest.approx({(0, 0): 24 * 1000 * 0.6, (1, 0): 16 * 2000 * 0.6, (2, 0): 8 * 500 * 0.6})


def test_credit_either_way_round_and_in_order_of_priority():
    wfpr = {0: 1000, 1: 2000, 2: 500}
    amount = credit({(0, 0): -30, (1, 0): 16, (2, 0): 4}, wfpr, [PAIR, CRACK])
    # The crack takes 12, 8 and 4; of what is left, the pair takes 8 each.
    assert amount == pytest.approx({(0, 0): 12 * 600 + 8 * 500, (1, 0): 8 * 1200 + 8 * 1000, (2, 0): 4 * 300})


def test_no_credit_on_one_side_or_without_every_leg():
    assert set(credit({(0, 0): 5, (1, 0): 5}, {0: 1, 1: 1}, [PAIR]).values()) == {0.0}
    assert credit({(0, 0): 5}, {0: 1}, [PAIR]) == {(0, 0): 0.0}
    assert credit({(0, 0): 5, (1, 1): -5}, {0: 1, 1: 1}, [PAIR], n_accounts=2) == {(0, 0): 0.0, (1, 1): 0.0}
    absent = InterCommodity(legs=[["CL", 1], ["XX", -1]], credit=1)
    assert credit({(0, 0): 5}, {0: 1}, [absent]) == {(0, 0): 0.0}


def test_accounts_are_credited_apart():
    deltas = {(0, 0): 5, (0, 1): 3, (1, 0): -2, (1, 1): -9}
    amount = credit(deltas, {0: 10, 1: 20}, [PAIR], n_accounts=2)
    assert amount == pytest.approx({(0, 0): 10, (0, 1): 15, (1, 0): 20, (1, 1): 30})


@given(delta, delta, delta, st.floats(0, 1e4), st.floats(0, 1), st.floats(0.1, 10))
def test_credits_never_exceed_what_is_offset(cl, ho, ng, most, rate, ratio):
    spreads = [
        InterCommodity(legs=[["CL", ratio], ["HO", -1], ["NG", -2]], credit=rate),
        InterCommodity(legs=[["CL", 1], ["HO", -ratio]], credit=rate, priority=2),
        InterCommodity(legs=[["HO", 1], ["NG", 1]], credit=rate, priority=3),
    ]
    deltas, wfpr = {(0, 0): cl, (1, 0): ho, (2, 0): ng}, {0: 3.0, 1: 2.0, 2: 1.0}
    for (u, a), amount in credit(deltas, wfpr, spreads).items():
        risk = wfpr[u] * abs(deltas[u, a])
        assert 0 <= amount <= rate * risk + 1e-9 * risk
    assert all(amount <= most for amount in credit(deltas, wfpr, spreads, most).values())


def test_pools_are_sizes():
    pool = pools(np.array([3.0, -2.0]), np.array([0, 0]), np.array([1, 1]), 2)
    assert isinstance(pool, Pools)
    assert (pool.long.tolist(), pool.short.tolist()) == ([[0, 3], [0, 0]], [[0, 2], [0, 0]])
    assert pool.net.tolist() == [1.0, 0.0]
