"""Contingencies by hand, on positions that are written out."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpu_reference.price import Valuation
from cpu_reference.types import FUTURE, OPTION, PERPETUAL, SPOT, Instruments, Market, Maturities, Smile
from gpu_var.cells import Cells
from gpu_var.margin.scan.contingencies import (
    basis,
    basis_shocks,
    contingencies,
    delta,
    held_positions,
    option,
    option_minimum,
    roll,
    static,
)
from gpu_var.market.state import Underlying
from gpu_var.tables.book import NO_EXPIRY
from gpu_var.tables.config_contingency import Basis, Contingency, Delta, OptionContingency, Roll, Static

DAY = 86_400 * 1_000_000
NEAR, FAR = 30 * DAY, 730 * DAY  # as_of is 0
S = 2_000.0
NO_BASIS = np.array([0]), np.array([NEAR]), np.zeros((1, 0))


def held(*rows, n_cells=1):
    """Positions (cell, kind, expiry, strike, quantity, price, delta), multiplier 1, on an underlying at 2,000."""
    cell, kind, expiry, strike, quantity, price, delta_each = map(
        np.array, zip(*((*row, 0.0, 0.0)[:7] for row in rows), strict=True)
    )
    n = len(rows)
    plain, none = np.ones(n), np.zeros(n)
    instruments = SimpleNamespace(
        kind=kind.astype(np.int8),
        expiry=expiry.astype(np.int64),
        strike=strike.astype(float),
        underlying=np.zeros(n, int),
        multiplier=plain,
        inverse=np.zeros(n, bool),
    )
    book = SimpleNamespace(
        positions=SimpleNamespace(quantity=quantity.astype(float), instrument=np.arange(n)),
        instruments=instruments,
        underlyings=SimpleNamespace(currency=np.zeros(1, int), spot=np.array([S])),
        cash=np.zeros(1, bool),
    )
    columns = dict.fromkeys(Valuation._fields, none)
    valuation = Valuation(**columns | {"price": price.astype(float), "delta": delta_each, "forward": np.full(n, S)})
    cells = Cells(np.arange(n_cells), np.zeros(n_cells, int), cell)
    return held_positions(book, cells, valuation, np.ones(1), 0)


def test_static_by_hand():
    # 2 % of 3 perpetuals and of 5 coins; at 2,100 the call covers one of the three puts sold; at 1,900 nothing is
    # naked; the same strike a year later is another one: 1 % of 2 + 4.
    book = held(
        (0, PERPETUAL, NO_EXPIRY, np.nan, -3.0),
        (0, SPOT, NO_EXPIRY, np.nan, 5.0),
        (0, OPTION, NEAR, 2_100.0, -3.0),
        (0, OPTION, NEAR, 2_100.0, 1.0),
        (0, OPTION, NEAR, 1_900.0, 2.0),
        (0, OPTION, NEAR, 1_900.0, -2.0),
        (0, OPTION, FAR, 2_100.0, -4.0),
        (0, FUTURE, NEAR, np.nan, -10.0),
    )
    assert static(Static(), book) == pytest.approx([S * (0.02 * 3 + 0.02 * 5 + 0.01 * 6)])


def test_net_shorts_are_of_one_cell_each():
    # Deribit: "call +10 and put −20, your net short position on strike X is −10". Another cell's calls do not cover it.
    book = held(
        (1, OPTION, NEAR, 2_000.0, 10.0),
        (1, OPTION, NEAR, 2_000.0, -20.0),
        (0, OPTION, NEAR, 2_000.0, 50.0),
        (2, OPTION, -DAY, 2_000.0, -7.0),
        n_cells=4,
    )
    found = static(Static(perpetual=0.0, spot=0.0, short_option=0.01), book)
    assert found == pytest.approx([0.0, 0.01 * 10 * S, 0.0, 0.0])


def test_roll_is_deribits_documented_one():
    # API reference of private/pme/simulate: 0.01·(0.314538364 + 0.001187534) = 0.00315725898 coins.
    book = held((0, PERPETUAL, NO_EXPIRY, np.nan, 0.314538364), (0, FUTURE, 11 * DAY, np.nan, -0.001187534))
    assert roll(Roll(), book) / S == pytest.approx([0.00315725898], rel=1e-12)
    # 7.5 % a year over 11 days is 0.2 %, under the least move of 1 %; over two years it is 15 %.
    assert roll(Roll(annual_move=0.075), book) / S == pytest.approx([0.00315725898], rel=1e-12)
    later = held((0, PERPETUAL, NO_EXPIRY, np.nan, 1.0), (0, FUTURE, FAR, np.nan, -1.0), (0, OPTION, FAR, 1.0, -9.0))
    assert roll(Roll(annual_move=0.075), later) == pytest.approx([S * (0.01 + 0.15)])


def test_option_rate_nets_nothing():
    book = held((0, OPTION, NEAR, 2_000.0, 10.0), (0, OPTION, NEAR, 2_000.0, -20.0), (0, OPTION, 0, 2_000.0, -5.0))
    assert option(OptionContingency(rate=0.01), book) == pytest.approx([0.01 * 20 * S])


def test_minimum_per_contract():
    # $37.50 for each of 4 sold; of the 3 bought at $100 together no more than that; an expired one is free.
    book = held(
        (0, OPTION, NEAR, 90.0, -4.0, 225.0),
        (0, OPTION, NEAR, 100.0, 3.0, 100.0 / 3),
        (0, OPTION, NEAR, 95.0, 2.0, 2_500.0),
        (0, OPTION, 0, 95.0, -8.0, 0.0),
        (0, SPOT, NO_EXPIRY, np.nan, -100.0),
    )
    table = OptionContingency(minimum_per_contract=37.5)
    assert option_minimum(table, book) == pytest.approx([4 * 37.5 + 100.0 + 2 * 37.5])
    short_only = OptionContingency(minimum_per_contract=37.5, minimum_long=False)
    assert option_minimum(short_only, book) == pytest.approx([150.0])


def test_least_margin_for_deltas():
    # 5 long and 3 short: 2 % of 2 and 1 % of 3.
    book = held((0, PERPETUAL, NO_EXPIRY, np.nan, 5.0, 0.0, 1.0), (0, OPTION, NEAR, 1.0, -6.0, 0.0, 0.5))
    assert delta(Delta(), book) == pytest.approx([S * (0.02 * 2 + 0.01 * 3)])


def test_basis_by_hand():
    # −40 at worst in 30 days, 0.25 + 0.01·30/365; a gain either way counts 0; spot and perpetuals not at all.
    pnl = np.array([[-40.0, 30.0], [5.0, 6.0], [-90.0, 90.0], [10.0, -8.0]])
    expiry = np.array([NEAR, FAR, NO_EXPIRY, FAR])
    found = basis(Basis(), held((0, SPOT, NO_EXPIRY, np.nan, 1.0)), np.array([0, 0, 0, 0]), expiry, pnl)
    assert found == pytest.approx([40 * (0.25 + 0.01 * 30 / 365) + 8 * (0.25 + 0.01 * 2)])


def underlying(normal, spot, forwards, years):
    none = Smile(np.zeros(1, np.intp), np.zeros(0), np.zeros((0, 3)))
    curve = Maturities(np.array(years), np.array(forwards), np.array([0.03] * len(years)))
    columns = (np.zeros(0, np.int8),) * len(Instruments._fields)
    market = Market.of_one(normal, True, False, spot, 1.25, curve, curve, none, none)
    instruments = Instruments(*columns)
    return Underlying(0, np.zeros(0, np.int64), instruments, market, instruments)


def test_basis_shocks_move_unexpired_forwards_alone():
    shocks = basis_shocks(Basis(up=0.05, down=0.04), underlying(False, 100.0, [110.0, 100.0], [0.5, -0.1]))
    for m, forward in enumerate([[115.5, 105.6], [100.0, 100.0]]):
        levels = shocks.at(m)
        assert levels.forward == pytest.approx(np.array(forward))
        assert levels.spot.tolist() == [100.0, 100.0]
        assert levels.fx.tolist() == [1.25, 1.25]
        assert levels.rate.tolist() == [0.03, 0.03]
        assert levels.vol_growth.tolist() == [1.0, 1.0]


def test_a_negative_forward_moves_by_a_share_of_the_spot():
    shocks = basis_shocks(Basis(), underlying(True, -40.0, [-30.0], [0.5]))
    assert shocks.at(0).forward == pytest.approx(np.array([-28.0, -32.0]))


def test_order_and_floors():
    book = held(
        (0, PERPETUAL, NO_EXPIRY, np.nan, 1.0, 0.0, 1.0),
        (0, OPTION, NEAR, 2_000.0, -1.0, 100.0, 0.5),
        (1, OPTION, NEAR, 2_000.0, -1.0, 100.0, 0.5),
        n_cells=2,
    )
    table = Contingency(
        static=Static(),
        basis=Basis(combine="max"),
        option=OptionContingency(rate=0.001, minimum_per_contract=500.0),
        roll=Roll(),
        delta=Delta(hedged=0.1, unhedged=0.2),
    )
    pnl = np.array([[0.0, 0.0], [-400.0, 0.0], [-4_000.0, 0.0]])
    cell, expiry = np.array([0, 0, 1]), np.array([NO_EXPIRY, NEAR, NEAR])
    risk = np.array([300.0, 300.0])
    found = contingencies(table, book, risk, cell, expiry, pnl)
    factor = 0.25 + 0.01 * 30 / 365
    assert list(found) == ["basis", "static", "roll", "option", "delta", "option_minimum"]
    assert found["basis"] == pytest.approx([0.0, 4_000 * factor - 300.0])
    assert found["static"] == pytest.approx([40.0 + 20.0, 20.0])
    assert found["roll"] == pytest.approx([20.0, 0.0])
    assert found["option"] == pytest.approx([2.0, 2.0])
    # Deltas 1 and −0.5 are worth 0.2·0.5 + 0.1·0.5 of 2,000, under what stands there already; 0.2·0.5 of it also.
    assert found["delta"] == pytest.approx([0.0, 0.0])
    assert found["option_minimum"] == pytest.approx([500.0 - (300 + 60 + 20 + 2), 0.0])


def test_a_floor_lifts_to_itself():
    book = held((0, OPTION, NEAR, 2_000.0, -2.0, 0.5, 0.25))
    table = Contingency(delta=Delta(), option=OptionContingency(minimum_per_contract=37.5))
    found = contingencies(table, book, np.array([1.0]), *NO_BASIS)
    assert found["delta"] == pytest.approx([0.02 * 0.5 * S - 1.0])
    assert 1.0 + sum(found.values()) == pytest.approx(np.array([75.0]))


def test_none_is_on_without_its_table():
    book = held((0, OPTION, NEAR, 2_000.0, -2.0))
    assert contingencies(Contingency(), book, np.zeros(1), *NO_BASIS) == {}


contracts = st.floats(-1e6, 1e6).map(lambda x: round(x, 3) or 1.0)
position = st.tuples(
    st.sampled_from([(SPOT, NO_EXPIRY), (PERPETUAL, NO_EXPIRY), (FUTURE, NEAR), (OPTION, NEAR), (OPTION, FAR)]),
    st.sampled_from([1_900.0, 2_100.0]),
    contracts,
    st.floats(-1.0, 1.0),
)


@given(st.lists(position, min_size=1, max_size=6), st.lists(position, min_size=1, max_size=6))
def test_every_contingency_is_sub_additive(one, other):
    def of(positions):
        rows = [(0, kind, expiry, strike, q, 1.0, d) for (kind, expiry), strike, q, d in positions]
        book = held(*rows)
        return np.array(
            [
                static(Static(), book)[0],
                roll(Roll(annual_move=0.1), book)[0],
                option(OptionContingency(rate=0.02), book)[0],
                delta(Delta(hedged=0.04, unhedged=0.02), book)[0],
            ]
        )

    apart, together = of(one) + of(other), of(one + other)
    assert (together >= 0.0).all()
    assert (together <= apart * (1 + 1e-9) + 1e-3).all()
