"""Closing out by hand: one linear position, its hedge, and what changes with days, volumes and spreads."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_var.stress.close_out import Exposures, hedge_and_auction, liquidate
from gpu_var.stress.impact import SQUARE_ROOT, ImpactLaw, almgren
from gpu_var.tables.config_close_out import CloseOut

RNG = np.random.default_rng(11)
SCENARIOS = RNG.standard_normal((3, 400))


def shortfall(losses: np.ndarray) -> np.ndarray:
    """The mean of the four worst of 400 losses."""
    return np.sort(losses, axis=1)[:, -4:].mean(axis=1)


def linear(money: float = 1e6, sigma: float = 0.02, size: float = 2.0, spread: float = 500.0) -> Exposures:
    """A position worth `money`, so many days of volume large, whose day's moves are σ times standard normal ones."""
    zero = np.zeros(1)
    pnl = money * sigma * SCENARIOS[:1]
    return Exposures(
        delta_sigma=np.array([money * sigma]),
        vega_sigma=zero,
        delta_size=np.array([size]),
        vega_size=zero,
        delta_spread=np.array([spread]),
        vega_spread=zero,
        pnl=pnl,
        linear=pnl,
    )


def test_one_linear_position_sold_over_days():
    """1,000,000 of 2 days' volume at a quarter of it: 8 days. σ = 2 %: a daily volatility is worth 20,000.
    Impact ⅔·20,000·√(2/8) = 6,666.67; risk ES·√(1 + 8/3), a day of waiting and a third of the eight.
    """
    plan = liquidate(linear(), CloseOut(), SQUARE_ROOT, shortfall)
    worst = float(shortfall(-20_000.0 * SCENARIOS[:1])[0])
    assert plan.days.tolist() == [8.0, 8.0]
    assert plan.spread.tolist() == [500.0, 500.0]
    assert plan.impact == pytest.approx([20_000 / 3] * 2, rel=1e-12)
    assert plan.auction.tolist() == [0.0, 0.0]
    assert plan.cost == pytest.approx([500 + 20_000 / 3] * 2, rel=1e-12)
    assert plan.risk == pytest.approx([worst * math.sqrt(1 + 8 / 3)] * 2, rel=1e-12)


def test_one_linear_position_hedged():
    """The hedge of a day pays ⅔·20,000·√2 = 18,856.18 and leaves nothing to auction: ES·√(1 + 1/3)."""
    plan = hedge_and_auction(linear(), CloseOut(), SQUARE_ROOT, shortfall)
    worst = float(shortfall(-20_000.0 * SCENARIOS[:1])[0])
    assert plan.days.tolist() == [1.0, 1.0]
    assert plan.impact == pytest.approx([2 / 3 * 20_000 * math.sqrt(2)] * 2, rel=1e-12)
    assert plan.auction.tolist() == [0.0, 0.0]
    assert plan.risk == pytest.approx([worst * math.sqrt(4 / 3)] * 2, rel=1e-9)


def test_almgrens_law():
    """0.142·20,000·(2/8)^0.6 + ½·0.314·2·200^¼·20,000."""
    plan = liquidate(linear(), CloseOut(impact="almgren"), almgren(), shortfall)
    expected = 20_000 * (0.142 * 0.25**0.6 + 0.314 * 200**0.25)
    assert plan.impact[0] == pytest.approx(expected, rel=1e-12)


def options() -> Exposures:
    """Two underlyings: options hedged in part, and a linear position."""
    residual = np.stack([3_000.0 * (SCENARIOS[1] ** 2 - 1.0), np.zeros(400)])
    linear = np.stack([20_000.0 * SCENARIOS[0], -5_000.0 * SCENARIOS[2]])
    return Exposures(
        delta_sigma=np.array([20_000.0, 5_000.0]),
        vega_sigma=np.array([8_000.0, 0.0]),
        delta_size=np.array([0.5, 0.1]),
        vega_size=np.array([3.0, 0.0]),
        delta_spread=np.array([300.0, 20.0]),
        vega_spread=np.array([1_200.0, 0.0]),
        pnl=linear - residual,
        linear=linear,
    )


def test_options_are_hedged_and_auctioned():
    """Two days of hedging, the auction on the fourth: three days of the rest alone, and on the first two the share of
    the delta that is not hedged yet, √(∫(1 − t/2)² dt) = √(7/12) and √(1/12), after one whole day of waiting.
    """
    book, rules = options(), CloseOut(hedge_days=2, auction_days=4, auction_discount=0.5)
    plan = hedge_and_auction(book, rules, SQUARE_ROOT, shortfall, period=4.0)
    rest = book.pnl - book.linear
    days = [rest + share * book.linear for share in (1.0, math.sqrt(7 / 12), math.sqrt(1 / 12), 0.0, 0.0)]
    for row, at in ((0, [0]), (1, [1]), (2, [0, 1])):
        expected = math.sqrt(sum(max(0.0, shortfall(-day[at].sum(axis=0)[None])[0]) ** 2 for day in days))
        assert plan.risk[row] == pytest.approx(expected, rel=1e-9)
        left = max(0.0, float(shortfall(-rest[at].sum(axis=0)[None])[0]))
        assert plan.auction[row] == pytest.approx(0.5 * 2.0 * left, abs=1e-9)
    assert plan.spread.tolist() == [1_500.0, 20.0, 1_520.0]
    assert plan.impact[0] == pytest.approx(2 / 3 * 20_000 * math.sqrt(0.5 / 2), rel=1e-12)
    assert plan.impact[2] == pytest.approx(plan.impact[:2].sum(), rel=1e-12)


def test_options_are_sold_over_their_own_days():
    """Vega of 3 days' volume takes 12 days at a quarter of it, the linear position less than one, so one."""
    plan = liquidate(options(), CloseOut(), SQUARE_ROOT, shortfall)
    assert plan.days.tolist() == [12.0, 1.0, 12.0]
    vega = 8_000 * math.sqrt(3 / 12)
    assert plan.impact[0] == pytest.approx(2 / 3 * (20_000 * math.sqrt(0.5 / 12) + vega), rel=1e-12)
    assert plan.risk[2] < plan.risk[:2].sum()


def test_the_risk_of_both_together_is_day_by_day():
    """The first day whole, then shares √(T/3·((1 − t/T)³ − (1 − (t+1)/T)³)) of each underlying's own T."""
    book = options()
    plan = liquidate(book, CloseOut(lag_days=1), SQUARE_ROOT, shortfall)

    def share(t: float, days: float) -> float:
        return math.sqrt(days / 3 * (max(0, 1 - t / days) ** 3 - max(0, 1 - (t + 1) / days) ** 3))

    held = [book.pnl.sum(axis=0)] + [share(t, 12) * book.pnl[0] + share(t, 1) * book.pnl[1] for t in range(12)]
    assert plan.risk[2] == pytest.approx(math.sqrt(sum(shortfall(-day[None])[0] ** 2 for day in held)), rel=1e-12)


@given(horizon=st.integers(1, 59))
def test_a_longer_horizon_costs_less_and_risks_more(horizon):
    short, long = (
        liquidate(linear(size=50.0), CloseOut(horizon_days=days), SQUARE_ROOT, shortfall)
        for days in (horizon, horizon + 1)
    )
    assert long.impact[0] < short.impact[0]
    assert long.risk[0] > short.risk[0]
    assert long.spread[0] == short.spread[0]


def test_unlimited_volume_costs_the_spread_alone():
    for way in (liquidate, hedge_and_auction):
        plan = way(linear(size=0.0), CloseOut(), SQUARE_ROOT, shortfall)
        assert plan.cost.tolist() == [500.0, 500.0]
        assert plan.days[0] == 1.0


def test_without_scenarios_the_risk_is_not_known():
    book = linear()
    book = Exposures(**{**vars(book), "pnl": np.zeros((1, 0)), "linear": np.zeros((1, 0))})
    sold, hedged = (way(book, CloseOut(pace=pace), SQUARE_ROOT, shortfall) for way, pace in
                    ((liquidate, "least_cost"), (hedge_and_auction, "participation")))  # fmt: skip
    assert np.isnan(sold.risk).all()
    assert np.isnan(hedged.risk).all()
    assert np.isfinite(sold.cost).all()
    assert hedged.auction.tolist() == [0.0, 0.0]
    assert sold.days[0] == 20.0  # no risk is known: as slowly as it may be


@pytest.mark.parametrize("law", [SQUARE_ROOT, ImpactLaw(0.5, 1.0, 0.1)])
def test_the_least_cost_is_the_least_of_any_days(law):
    book, rules = linear(size=1.5), CloseOut(pace="least_cost", lag_days=0, horizon_days=60, risk_weight=0.1)
    plan = liquidate(book, rules, law, shortfall)
    assert 1.0 < plan.days[0] < 60.0
    best = plan.impact[0] + 0.1 * plan.risk[0]
    for days in (1.0, 0.8 * plan.days[0], 1.2 * plan.days[0]):
        size = 1.5 / days  # a rate at which `participation` takes so many days
        other = liquidate(
            book, rules.model_copy(update={"pace": "participation", "participation": size}), law, shortfall
        )
        assert other.days[0] == pytest.approx(days)
        assert other.impact[0] + 0.1 * other.risk[0] > best


def test_a_gain_in_every_scenario_is_no_risk():
    book = linear()
    book = Exposures(**{**vars(book), "pnl": np.full((1, 400), 10.0), "linear": np.zeros((1, 400))})
    assert liquidate(book, CloseOut(), SQUARE_ROOT, shortfall).risk.tolist() == [0.0, 0.0]
