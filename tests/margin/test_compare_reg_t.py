"""Strategy-based margin: every rule worked out by hand, then what must hold for any portfolio."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from margin.compare_by_hand import by_hand
from margin.compare_positions import (
    AS_OF,
    FAR,
    NEAR,
    future,
    held,
    option,
    reg_t_margin,
    reg_t_margins,
    requirement,
    stock,
)

from gpu_var.tables.config_compare import RegT


def test_naked_minimum_binds_far_out_of_the_money():
    # 20 % of 100 less 40 out of the money is below 10 % of the underlying, or of the strike.
    assert reg_t_margin(100, option(-1, "call", 140, 0.5)) == pytest.approx(10)
    assert reg_t_margin(100, option(-1, "put", 60, 0.5)) == pytest.approx(6)


def test_long_options_are_paid_for_in_full_but_for_long_terms():
    assert reg_t_margin(100, option(1, "call", 100, 8)) == pytest.approx(8)
    assert reg_t_margin(100, option(1, "call", 100, 8, days=273)) == pytest.approx(8)  # nine months are 273.75 days
    assert reg_t_margin(100, option(1, "call", 100, 8, days=274)) == pytest.approx(6)


def test_stock():
    assert reg_t_margin(100, stock(10)) == pytest.approx(500)
    assert reg_t_margin(100, stock(-10)) == pytest.approx(500)


def test_covered_call_in_the_money_lends_on_the_strike():
    # Equity: 100 of stock less a call of 23; half the strike of 80 can be borrowed: 100 - 23 - 40.
    assert reg_t_margin(100, stock(1), option(-1, "call", 80, 23)) == pytest.approx(37)


def test_covered_put_in_the_money_needs_that_amount():
    # 150 for the stock sold short, and 10 for the put; of it the sale brought 100 and the put 13.
    assert reg_t_margin(100, stock(-1), option(-1, "put", 110, 13)) == pytest.approx(160 - 100 - 13)
    assert reg_t_margin(100, stock(-1), option(-1, "put", 90, 2)) == pytest.approx(50 - 2)


def test_stock_covers_the_dearest_calls_first():
    # One unit of stock for two calls: the 100 needs 5 + 20, the 110 needs 2 + 10; the latter stays naked.
    rows = [stock(1), option(-1, "call", 100, 5), option(-1, "call", 110, 2)]
    assert requirement(100, *rows) == pytest.approx(50 + 12)


def test_futures_and_perpetuals_at_a_rate_of_their_notional():
    assert reg_t_margin(100, future(10)) == pytest.approx(150)
    assert reg_t_margin(100, future(-10, perpetual=True), rules=RegT(futures=0.25)) == pytest.approx(250)
    # They cover nothing.
    alone = reg_t_margin(100, option(-1, "call", 100, 5))
    assert reg_t_margin(100, future(1), option(-1, "call", 100, 5)) == pytest.approx(15 + alone)


def test_vertical_spreads():
    credit = [option(-1, "call", 100, 5), option(1, "call", 110, 2)]
    assert reg_t_margin(100, *credit) == pytest.approx(10 - 5 + 2)
    debit = [option(1, "call", 100, 5), option(-1, "call", 110, 2)]
    assert reg_t_margin(100, *debit) == pytest.approx(3)
    credit = [option(-1, "put", 100, 5), option(1, "put", 90, 2)]
    assert reg_t_margin(100, *credit) == pytest.approx(10 - 5 + 2)


def test_wide_spread_needs_no_more_than_the_naked_option():
    rows = [option(-1, "call", 100, 5), option(1, "call", 200, 0.01)]
    assert reg_t_margin(100, *rows) == pytest.approx(20 + 0.01)


def test_long_option_that_expires_earlier_covers_nothing():
    early = [option(-1, "call", 100, 6, FAR), option(1, "call", 100, 4, NEAR)]
    assert reg_t_margin(100, *early) == pytest.approx(20 + 4)
    diagonal = [option(-1, "call", 100, 4, NEAR), option(1, "call", 105, 5, FAR)]
    assert reg_t_margin(100, *diagonal) == pytest.approx(5 - 4 + 5)


def test_straddle_needs_the_greater_side_and_the_premium_of_the_other():
    rows = [option(-1, "call", 100, 5), option(-1, "put", 100, 4)]
    assert requirement(100, *rows) == pytest.approx(25 + 4)


def test_straddle_pairs_what_it_can():
    rows = [option(-3, "call", 100, 5), option(-1, "put", 100, 4)]
    assert requirement(100, *rows) == pytest.approx(29 + 2 * 25)


def test_straddle_is_not_lost_where_a_wing_is_bought():
    # The put spread alone would cost 15 where the straddle's put is free but for its premium of 4.
    rows = [option(-1, "call", 100, 5), option(-1, "put", 100, 4), option(1, "put", 85, 1)]
    assert requirement(100, *rows) - 1 == pytest.approx(29)


def test_condor_beside_a_straddle_keeps_both_reliefs():
    condor = [
        option(-1, "call", 110, 2),
        option(1, "call", 115, 1),
        option(-1, "put", 90, 2),
        option(1, "put", 85, 1),
    ]
    straddle = [option(-1, "call", 100, 5, FAR), option(-1, "put", 100, 4, FAR)]
    assert requirement(100, *condor, *straddle) - 2 == pytest.approx(5 + 29)


def test_inverted_condor_can_lose_on_both_sides():
    # Short 100 put and 90 call: 10 between them is owed wherever the price ends, 5 more beyond either wing.
    rows = [
        option(-1, "put", 100, 12),
        option(1, "put", 95, 9),
        option(-1, "call", 90, 12),
        option(1, "call", 95, 9),
    ]
    assert requirement(95, *rows) - 18 == pytest.approx(5 + 5)


def test_box_is_worth_its_strike_difference():
    long = [
        option(1, "call", 90, 12),
        option(-1, "call", 100, 6),
        option(1, "put", 100, 6),
        option(-1, "put", 90, 2),
    ]
    assert reg_t_margin(95, *long) == pytest.approx(10)  # paid for in full, no deposit
    short = [{**row, "units": -row["units"]} for row in long]
    assert requirement(95, *short) - 8 == pytest.approx(10)


def test_underlyings_expiries_and_accounts_cover_nothing_of_each_other():
    short, wing = option(-1, "call", 100, 5), option(1, "call", 105, 3)
    assert reg_t_margin(100, short, {**wing, "underlying": 1}) == pytest.approx(20 + 3)
    assert reg_t_margins(held(100, short, {**wing, "account": 1}), n=2) == pytest.approx([20, 3])
    # A call spread and a put spread of different expiries can both lose.
    rows = [
        option(-1, "call", 110, 2, NEAR),
        option(1, "call", 115, 1, NEAR),
        option(-1, "put", 90, 2, FAR),
        option(1, "put", 85, 1, FAR),
    ]
    assert requirement(100, *rows) - 2 == pytest.approx(10)


def test_amounts_are_in_base_currency():
    rows = [stock(1), option(-2, "call", 100, 5), future(1)]
    in_base = [{**row, "fx": 1.1} for row in rows]
    assert reg_t_margin(100, *in_base) == pytest.approx(1.1 * reg_t_margin(100, *rows))


def test_negative_price_of_the_underlying():
    assert reg_t_margin(-37.63, option(-1, "put", 10, 50)) == pytest.approx(0.2 * 37.63)


def test_a_price_that_is_no_number_leaves_the_margin_none():
    out = reg_t_margins(held(100, option(-1, "call", 100, np.nan), option(-1, "call", 100, 5, account=1)), n=2)
    assert np.isnan(out[0])
    assert out[1] == pytest.approx(20)


def test_no_positions():
    empty = held(100, stock(1)).take(np.zeros(0, dtype=np.int64))
    assert reg_t_margins(empty, n=2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("rules", "row", "amount"),
    [
        ({"naked": 0.0}, option(-1, "call", 100, 5), 10),  # the minimum is left
        ({"naked": 1.0}, option(-1, "call", 100, 5), 100),
        ({"naked_minimum": 0.0}, option(-1, "call", 300, 0.1), 0),
        ({"naked_minimum": 1.0}, option(-1, "put", 80, 0.1), 80),
        ({"stock": 0.0}, stock(1), 0),
        ({"stock": 1.0}, stock(1), 100),
        ({"futures": 0.0}, future(1), 0),
        ({"futures": 1.0}, future(1), 100),
        ({"long_term": 0.0}, option(1, "call", 100, 8, days=400), 0),
        ({"long_term": 1.0}, option(1, "call", 100, 8, days=400), 8),
        ({"long_term_months": 0.0}, option(1, "call", 100, 8, days=1), 6),
        ({"long_term_months": 120.0}, option(1, "call", 100, 8, days=3650), 8),
    ],
)
def test_parameters_at_their_bounds(rules, row, amount):
    assert reg_t_margin(100, row, rules=RegT(**rules)) == pytest.approx(amount)


def test_index_rate_at_its_bounds():
    assert reg_t_margin(100, option(-1, "call", 100, 5), index=True, rules=RegT(naked_index=1.0)) == 100
    assert reg_t_margin(100, option(-1, "call", 100, 5), index=True, rules=RegT(naked_index=0.0)) == 10


LEGS = st.builds(
    option,
    st.integers(-4, 4).filter(bool),
    st.sampled_from(["call", "put"]),
    st.integers(6, 14).map(lambda k: 10.0 * k),
    st.floats(0.1, 40.0).map(lambda p: round(p, 2)),
    st.sampled_from([NEAR, FAR, 300, 400]),
)
STOCKS = st.builds(stock, st.integers(-3, 3).filter(bool))
BOOKS = st.lists(st.one_of(LEGS, LEGS, LEGS, STOCKS), min_size=1, max_size=9)


@given(BOOKS)
def test_same_as_the_rules_unit_by_unit(rows):
    rows = [dict(row, price=row["price"] + 1e-4 * i) if "price" in row else row for i, row in enumerate(rows)]
    assert reg_t_margin(100, *rows) == pytest.approx(max(0.0, by_hand(100.0, rows, RegT(), AS_OF)), abs=1e-9)


@given(BOOKS, LEGS)
def test_a_further_long_option_costs_no_more_than_its_price(rows, leg):
    leg = {**leg, "units": abs(leg["units"])}
    assert reg_t_margin(100, *rows, leg) <= reg_t_margin(100, *rows) + leg["units"] * leg["price"] + 1e-9


@given(LEGS, LEGS)
def test_a_spread_needs_no_more_than_its_short_side_naked(short, long):
    short, long = {**short, "units": -1}, {**long, "units": 1}
    alone = reg_t_margin(100, short)
    assert reg_t_margin(100, short, long) <= alone + long["price"] + 1e-9


@given(BOOKS, st.randoms())
def test_order_of_positions_changes_nothing(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert reg_t_margin(100, *shuffled) == pytest.approx(reg_t_margin(100, *rows), rel=1e-12, abs=1e-9)


@given(st.lists(BOOKS, min_size=1, max_size=4), st.floats(0.01, 1e9))
def test_accounts_stand_alone_and_margins_grow_with_size(books, size):
    rows = [{**row, "account": a, "units": row["units"] * size} for a, book in enumerate(books) for row in book]
    rows += [{**row, "underlying": 1} for row in rows]
    together = reg_t_margins(held(100, *rows), n=len(books))
    alone = [2 * size * reg_t_margin(100, *book) for book in books]
    assert together == pytest.approx(alone, rel=1e-9, abs=1e-7 * size)
