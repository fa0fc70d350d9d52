"""The change of a margin between two runs: it adds up to the last digit, and each step moves what it says."""

import copy
import random
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import books
from oracle.files import write_book

from gpu_var.margin.attribution import (
    ENTRANTS,
    MARKET,
    PARAMETERS,
    POSITIONS,
    SCENARIOS,
    STEPS,
    VOLATILITY,
    State,
    attribute,
    carried,
    common_instruments,
    forecast,
)
from gpu_var.margin.charges import charges
from gpu_var.margin.output import margin_table
from gpu_var.margin.requirement import measured
from gpu_var.market.checks import check
from gpu_var.tables.config import Config
from gpu_var.tables.findings import Findings
from gpu_var.tables.load import read_book

MODELS = {"fhs": {"lookback": 30}, "monte_carlo": {"paths": 64, "seed": 3}}


def state(folder, book, config):
    read, chosen, findings = read_book(write_book(folder, book)), Config(**config), Findings()
    factors = check(read, chosen, findings)
    findings.raise_if_any()
    return State(read, chosen, factors)


def margin(run, account):
    """The margin of the whole book's run, null for an account that it does not have."""
    m = measured(run.book, run.config, run.factors)
    at = run.book.accounts.name.index(account).as_py()
    return margin_table(m, charges(m))["margin"][at].as_py() if at >= 0 else 0.0


def steps(old, new, account="maker"):
    """Step -> change, having checked that both ends are the runs' own margins and that the changes add up exactly."""
    found = attribute(old, new, account)
    assert found.step == STEPS
    assert found.old == pytest.approx(margin(old, account), rel=1e-9, abs=1e-9)
    assert found.new == pytest.approx(margin(new, account), rel=1e-9, abs=1e-9)
    largest = max(np.abs(found.margin).max(), abs(found.old))
    assert found.change.sum() == pytest.approx(found.new - found.old, abs=1e-14 * len(STEPS) * largest)
    return dict(zip(found.step, found.change.tolist(), strict=True)), found


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return state(tmp_path_factory.mktemp("old") / "book", books.crypto(), books.config(**MODELS))


def test_of_the_same_run_nothing_has_changed(old):
    changes, found = steps(old, old)
    assert set(changes.values()) == {0.0}
    assert found.notes == ()


def test_positions_alone(old, tmp_path):
    book = books.crypto()
    book["positions"][0]["quantity"] = -700.0
    book["positions"] += books.hold("maker", spot=-1.5)
    changes, _ = steps(old, state(tmp_path, book, books.config(**MODELS)))
    assert changes[POSITIONS] != 0.0
    assert [changes[step] for step in STEPS[1:]] == [0.0] * 5


def test_the_market_alone(old, tmp_path):
    book = books.crypto()
    book["underlyings"][0] |= {"spot": 60_000.0, "half_spread": 0.0004}
    for row in book["vols"]:
        row["iv"] *= 1.1
    changes, _ = steps(old, state(tmp_path, book, books.config(**MODELS)))
    assert changes[MARKET] != 0.0
    assert [step for step in STEPS if changes[step]] == [MARKET]


def test_the_passage_of_time_is_the_market(old, tmp_path):
    changes, _ = steps(old, state(tmp_path, books.crypto(), books.config(**MODELS, as_of="2026-01-05T20:30:00Z")))
    assert [step for step in STEPS if changes[step]] == [MARKET]


@pytest.mark.parametrize("changed", [{"level": 0.9}, {"concentration": {"participation": 0.03}}, {"measure": "worst"}])
def test_parameters_alone(old, tmp_path, changed):
    changes, _ = steps(old, state(tmp_path, books.crypto(), books.config(**MODELS) | changed))
    assert [step for step in STEPS if changes[step]] == [PARAMETERS]


def a_day_later(book, growth):
    """One more row of history, in which every factor grows alike."""
    history = book["history"]
    history["date"].append(history["date"][-1] + timedelta(days=1))
    for name, levels in history.items():
        if name != "date":
            levels.append(levels[-1] * growth)
    return book


@pytest.mark.parametrize("scaling", ["full", "mid", "none"])
def test_a_new_row_of_history_is_filter_and_scenarios(tmp_path, scaling):
    """With the scaling "none" FHS has no filter, so that it is the scenarios alone."""
    models = {"fhs": {"lookback": 30, "scaling": scaling}}
    before = state(tmp_path / "a", books.crypto(), books.config(**models, as_of="2026-01-07"))
    after = state(tmp_path / "b", a_day_later(books.crypto(), 1.2), books.config(**models, as_of="2026-01-07"))
    changes, _ = steps(before, after)
    assert [step for step in STEPS if changes[step]] == ([] if scaling == "none" else [VOLATILITY]) + [SCENARIOS]
    if scaling != "none":
        assert changes[VOLATILITY] > 0.0


def test_the_filter_step_multiplies_a_factors_moves_by_the_ratio_of_its_forecasts(tmp_path):
    """One linear position and one factor: its margin, all core, is proportional to the forecast."""
    book = {
        "underlyings": [{"underlying": "X", "currency": "USD", "spot": 100.0}],
        "instruments": [books.linear("X", "spot", "X")],
        "positions": books.hold("maker", X=7.0),
        "history": {"date": books.days_before(date(2026, 1, 5), 41), "spot:X": books.walk(8, 90.0, 0.02, 41)},
    }
    chosen = books.config(returns="simple", as_of="2026-01-07", fhs={"lookback": 40, "decay": 0.9})
    before = state(tmp_path / "a", copy.deepcopy(book), chosen)
    after = state(tmp_path / "b", a_day_later(book, 0.93), chosen)
    ratio = forecast(after, after.config.fhs)[0] / forecast(before, before.config.fhs)[0]
    changes, found = steps(before, after)
    assert ratio > 1.1
    assert changes[VOLATILITY] == pytest.approx((ratio - 1.0) * found.old, rel=1e-12)


def test_what_only_one_book_knows(old, tmp_path):
    """An instrument that is gone is closed in the old market; a new one, or one with other terms, comes in the new."""
    book = books.crypto()
    book["instruments"] = [row for row in book["instruments"] if row["instrument"] != "put-mid"]
    book["instruments"].append(books.option("new", "BTC", "2026-03-27T08:00:00Z", 65_000.0, "call"))
    (far,) = (row for row in book["instruments"] if row["instrument"] == "call-far")
    far["multiplier"] = 0.2
    book["positions"] = [row for row in book["positions"] if row["instrument"] != "put-mid"]
    book["positions"] += books.hold("maker", new=-3.0)
    new = state(tmp_path, book, books.config(**MODELS))
    both = common_instruments(old, new)
    names = set(new.book.instruments.name.take(both.new).to_pylist())
    assert names == set(old.book.instruments.name.to_pylist()) - {"put-mid", "call-far"}
    changes, _ = steps(old, new)
    assert {step for step in STEPS if changes[step]} == {POSITIONS, ENTRANTS}


def test_an_underlying_that_nobody_held_is_new(tmp_path):
    """The old run has no factor for it, so that there it would be without risk."""
    before, after = books.world(), books.world()
    held = {row["instrument"]: row["underlying"] for row in before["instruments"]}
    one = held[before["positions"][0]["instrument"]]
    before["positions"] = [row for row in before["positions"] if held[row["instrument"]] != one]
    chosen = books.config(allow_unshocked=["iv:CRASH"])
    old, new = state(tmp_path / "a", before, chosen), state(tmp_path / "b", after, chosen)
    both = common_instruments(old, new)
    owners = new.book.underlyings.name.take(new.book.instruments.underlying[both.new]).to_pylist()
    assert one not in owners
    account = after["positions"][0]["account"]
    changes, _ = steps(old, new, account)
    assert changes[ENTRANTS] != 0.0


def test_an_account_in_one_run_only(old, tmp_path):
    book = books.crypto()
    for row in book["positions"]:
        row["account"] = "carry" if row["account"] == "maker" else row["account"]
    book["accounts"] = [row for row in book["accounts"] if row["account"] != "maker"]
    new = state(tmp_path, book, books.config(**MODELS))
    gone, found = steps(old, new)
    assert found.new == 0.0
    assert gone[POSITIONS] == -found.old
    come, found = steps(new, old)
    assert found.old == 0.0
    assert come[POSITIONS] == found.new


def test_where_the_old_parameters_do_not_go_with_the_new_history_it_is_said(old, tmp_path):
    book = books.crypto()
    for name in book["history"]:
        book["history"][name] = book["history"][name][-25:]
    changes, found = steps(old, state(tmp_path, book, books.config(fhs={"lookback": 20})))
    assert changes[VOLATILITY] == changes[SCENARIOS] == 0.0
    assert changes[PARAMETERS] != 0.0
    (note,) = found.notes
    assert note.startswith("volatility filter and scenario set cannot be told from parameters")
    assert "lookback = 30" in note


METHODS = {
    "stress without history": {"fhs": None, "stress": {"scenario": [{"name": "crash", "shocks": {"spot:*": -0.3}}]}},
    "scan": {"fhs": None, "scan": {"price_range": 0.15, "vol_range": 0.2}},
    "scan and fhs": {"scan": {"price_range": 0.02, "vol_range": 0.2}},
    "charges": {"options": {"gamma_move": 0.1, "vega_points": 0.05}, "diversification": {"cap": 0.5}},
    "dependence": {"monte_carlo": {"paths": 60, "dependence_addon": 0.25}},
    "overlapping": {"holding_period_days": 2, "fhs": {"lookback": 30, "horizon": "overlapping"}},
    "robust volatility": {"fhs": {"lookback": 30, "volatility": "absolute", "volatility_floor": {"spot:*": 0.05}}},
    "buffer": {"antiprocyclicality": {"option": "buffer"}},
    "collateral": {"collateral": {"simulate": True}},
}


@pytest.mark.parametrize("method", METHODS)
def test_with_each_method(tmp_path, method):
    """A new market, a new row of history, another position, and a new one."""
    runs = []
    for side in "ab":
        book = books.crypto()
        book["collateral"] = [{"account": "maker", "asset": "BTC", "quantity": 1.5}]
        if side == "b":
            a_day_later(book, 1.1)
            book["underlyings"][0]["spot"] = 63_000.0
            book["instruments"].append(books.option("new", "BTC", "2026-03-27T08:00:00Z", 65_000.0, "call"))
            book["positions"] += books.hold("maker", new=-30.0, spot=1.0)
            book["collateral"][0]["quantity"] = 2.5
        chosen = books.config(as_of="2026-01-07", **METHODS[method])
        runs.append(state(tmp_path / side, book, chosen))
    changes, _ = steps(*runs)
    assert changes[MARKET] != 0.0
    assert changes[ENTRANTS] != 0.0
    assert changes[PARAMETERS] == 0.0


def test_other_base_currencies_cannot_be_compared(old, tmp_path):
    book = books.crypto()
    book["fx"] = [{"currency": "USD", "rate": 0.9}]
    book["history"]["fx:USD"] = books.walk(9, 0.9, 0.01, 45)
    new = state(tmp_path, book, books.config(base_currency="EUR"))
    with pytest.raises(ValueError, match="base currencies differ: USD then, EUR now"):
        attribute(old, new, "maker")


def test_factors_are_found_by_name(old, tmp_path):
    book = books.crypto()
    book["underlyings"].insert(0, {"underlying": "AAA", "currency": "EUR", "spot": 5.0})
    book["fx"] = [{"currency": "EUR", "rate": 1.1}]
    new = state(tmp_path, book, books.config(**MODELS))
    factors = carried(old.factors, old.book, new.book)
    assert factors.spot.tolist() == [-1, old.factors.spot[0]]
    assert factors.fx.tolist() == [-1, old.factors.fx[0]]
    assert [len(curve.factor) for curve in factors.iv] == [0, 2]
    assert factors.names == old.factors.names


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_it_adds_up_whatever_has_changed(tmp_path_factory, seed):
    draw = random.Random(seed)
    folder = tmp_path_factory.mktemp("random")
    runs = []
    for side in "ab":
        book = books.crypto()
        names = [row["instrument"] for row in book["instruments"]]
        dropped = set(draw.sample(names, draw.randrange(4)))
        book["instruments"] = [row for row in book["instruments"] if row["instrument"] not in dropped]
        draw.shuffle(book["instruments"])
        held = [row["instrument"] for row in book["instruments"]]
        book["positions"] = [
            {"account": "maker", "instrument": name, "quantity": draw.uniform(-9, 9)} for name in draw.sample(held, 6)
        ]
        book["positions"] += books.hold("carry", **{held[0]: 1.0})
        book["underlyings"][0]["spot"] *= draw.uniform(0.9, 1.1)
        for row in book["vols"]:
            row["iv"] *= draw.uniform(0.9, 1.1)
        for _ in range(draw.randrange(3)):
            a_day_later(book, draw.uniform(0.9, 1.1))
        changed = books.config(
            as_of="2026-01-07T21:00:00Z",
            level=draw.choice([0.9, 0.95, 0.985]),
            measure=draw.choice(["es", "var"]),
            returns=draw.choice(["log", "simple"]),
            fhs={"lookback": draw.choice([20, 30]), "scaling": draw.choice(["full", "mid"])},
            monte_carlo=draw.choice([None, {"paths": 40, "seed": draw.randrange(9)}]),
        )
        runs.append(state(folder / side, book, changed))
    steps(*runs)
