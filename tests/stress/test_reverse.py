"""Reverse stress over full revaluations: planted breaking points, found within 1 %."""

from pathlib import Path

import numpy as np
import pytest
from oracle import books
from oracle.files import write_book
from scipy.optimize import brentq
from stress.breaking_books import CONFIG, covariance, exposed, reversed_, shares, write

from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load
from gpu_var.scenarios.language import stress_scenarios
from gpu_var.stress import limit_state
from gpu_var.stress.factor_law import factor_law
from gpu_var.stress.house import house_of
from gpu_var.stress.limit_state import BREAKABLE, LimitState
from gpu_var.stress.losses import exposure, losses_in
from gpu_var.stress.margins import Margins
from gpu_var.stress.reverse import reverse_stress
from gpu_var.stress.shortfall import shortfalls
from gpu_var.tables.config_close_out import Reverse
from gpu_var.tables.config_stress_test import Resources, StressFile

SPOTS = {"A": 50.0, "B": 20.0, "C": 10.0}


def test_a_linear_book(tmp_path: Path):
    """One member, long A and B and short C: the loss is −w·x, and margin + contribution + own is exhausted at
    d = gap/|Σ^½·w| by x = −gap·Σw/(w'Σw).
    """
    book = shares(tmp_path / "b", {"m": {"A": 100.0, "B": 300.0, "C": -150.0}}, SPOTS, {"m": 200.0, "n": 300.0})
    e = exposed(book)
    w = np.array([100.0 * 50.0, 300.0 * 20.0, -150.0 * 10.0])
    sigma = covariance(book, ["spot:A", "spot:B", "spot:C"])
    found = reversed_(e, Resources(own=150.0, assessment=2.0, own_after=100.0), layer=list(BREAKABLE), limit=40)
    margin = float(e.margin[0])
    gaps = margin + np.array([0.0, 200.0, 350.0, 650.0, 750.0, 1350.0])  # the survivor n brings 300, then 600
    for one, gap in zip(found.exhausted, gaps, strict=True):
        assert one.breaking.distance == pytest.approx(gap / np.sqrt(w @ sigma @ w), rel=1e-3)
        assert one.shock == pytest.approx(-gap * sigma @ w / (w @ sigma @ w), rel=0.02, abs=2e-3)
        assert one.groups == ("m",)
        assert one.shortfall == pytest.approx(gap - margin, rel=2e-3, abs=1e-3 * margin)
        assert losses_in(e.measured, one.shock[None])[0, 0] >= gap * (1 - 1e-12)  # a break, verified
    assert found.exhausted[0].start == "against the Greeks of m"


def test_a_linear_book_over_a_longer_holding_period(tmp_path: Path):
    """Over four days the moves are twice as large, and so is the margin of [fhs]: the distance stays."""
    held = {"m": {"A": 100.0, "B": 50.0}}
    day, four = (
        reversed_(
            exposed(shares(tmp_path / str(h), held, SPOTS, config=f"holding_period_days = {h}\n{CONFIG}")),
            layer="margin",
        )
        for h in (1, 4)
    )
    assert four.exhausted[0].breaking.distance == pytest.approx(day.exhausted[0].breaking.distance, rel=1e-3)
    assert four.law.deviation == pytest.approx(2.0 * day.law.deviation, rel=1e-12)
    assert four.exhausted[0].shock == pytest.approx(2.0 * day.exhausted[0].shock, rel=1e-2, abs=1e-4)


OPTIONS = {
    "instruments": [
        "instrument,kind,underlying,expiry,strike,right,multiplier,iv",
        "P80,option,A,2026-01-19,80,put,100,0.3",
        "P79,option,A,2026-01-19,79,put,100,0.3",
    ],
    "underlyings": ["underlying,currency,spot,carry", "A,USD,100,none"],
    "accounts": ["account,member,kind", "m,m,house"],
}


def test_a_planted_barrier(tmp_path: Path):
    """Short a tight put spread far out of the money: nothing is lost until the spot falls by a fifth, where the loss
    jumps to 1 a share. The limit state is flat before and beyond it; the barrier is found by bisection as well.
    """
    tables = OPTIONS | {"positions": ["account,instrument,quantity", "m,P80,-1000", "m,P79,1000"]}
    book = write(tmp_path / "b", tables, {"spot:A": 100.0, "iv:A:14d": 0.3})
    e = exposed(book)
    names = e.measured.factors.names
    deviation = np.sqrt(covariance(book, ["spot:A"])[0, 0])
    planted = 40_000.0  # of the 100,000 that can be lost

    def left(fall: float) -> float:
        shock = np.zeros((1, len(names)))
        shock[0, names.index("spot:A")] = -fall
        return planted - losses_in(e.measured, shock)[0, 0]

    barrier = brentq(left, 0.0, 0.4)
    rules = Resources(own=planted - float(e.margin[0]))
    found = reversed_(e, rules, layer="own", factors="spot:*", limit=40).exhausted[0]
    assert found.breaking.distance == pytest.approx(barrier / deviation, rel=1e-3)
    assert found.shock[names.index("spot:A")] == pytest.approx(-barrier, rel=1e-3)
    assert found.shock[names.index("iv:A:14d")] == 0.0  # it may not move
    both = reversed_(e, rules, layer="own", limit=40).exhausted[0]
    assert both.breaking.distance <= found.breaking.distance * (1 + 1e-4)


def test_two_members_break_apart(tmp_path: Path):
    """Long A and long B: with Cover 1 the house breaks where either does, the nearer of two planes."""
    book = shares(tmp_path / "b", {"a": {"A": 100.0}, "b": {"B": -240.0}}, SPOTS)
    e = exposed(book)
    sigma = covariance(book, ["spot:A", "spot:B", "spot:C"])
    w = np.array([[5000.0, 0.0, 0.0], [0.0, -4800.0, 0.0]])
    gap = e.margin + 300.0
    planes = gap / np.sqrt(np.einsum("ij,jk,ik->i", w, sigma, w))
    found = reversed_(e, Resources(own=300.0, cover=1), layer="own", limit=40)
    assert found.exhausted[0].breaking.distance == pytest.approx(planes.min(), rel=1e-3)
    assert found.exhausted[0].groups == (("a", "b")[int(planes.argmin())],)
    names = e.measured.factors.names
    assert names == ("spot:A", "spot:B")  # C is not held


def test_two_members_break_together(tmp_path: Path):
    """Cover 2: (w₁·x − m₁)⁺ + (w₂·x − m₂)⁺ reaches the resources, which no single plane describes. Along any direction
    that sum does not fall, so that 20,000 directions are bisected at once.
    """
    book = shares(tmp_path / "b", {"a": {"A": 100.0}, "b": {"B": 240.0}}, SPOTS)
    e = exposed(book)
    root = np.linalg.cholesky(covariance(book, ["spot:A", "spot:B"]))
    own = 400.0
    angle = np.linspace(0, 2 * np.pi, 20_001)
    loss = -np.stack([np.cos(angle), np.sin(angle)], axis=1) @ root.T * np.array([5000.0, 4800.0])
    low, high = np.zeros(len(angle)), np.full(len(angle), 50.0)
    for _ in range(50):
        middle = 0.5 * (low + high)
        broken = np.maximum(middle[:, None] * loss - e.margin, 0.0).sum(axis=1) >= own
        low, high = np.where(broken, low, middle), np.where(broken, middle, high)
    found = reversed_(e, Resources(own=own), layer="own", limit=20).exhausted[0]
    assert found.breaking.distance == pytest.approx(high.min(), rel=1e-3)
    assert found.groups == ("a", "b")


def test_nothing_breaks_within_the_limit(tmp_path: Path):
    book = shares(tmp_path / "b", {"m": {"A": 1.0}}, SPOTS)
    found = reversed_(exposed(book), Resources(own=1e9), layer=["own"], limit=6)
    assert found.exhausted[0].shock is None
    assert found.exhausted[0].words == "own: holds in every direction that was tried, up to 6 standard deviations"
    assert found.table().num_rows == 0
    assert found.summary()[0]["distance"] is None


def test_broken_without_a_move(tmp_path: Path):
    """An account that owes more collateral than it has is a loss today."""
    book = shares(tmp_path / "b", {"m": {"A": 1.0}}, SPOTS, collateral=["m,USD,-5"])
    found = reversed_(exposed(book), Resources(against="collateral"), layer="margin").exhausted[0]
    assert (found.breaking.distance, found.plausibility) == (0.0, None)
    assert found.words == "margin: exhausted without any move"


def test_collateral_falls_with_the_market(tmp_path: Path):
    """100 A held against 20 A posted: broken where 100·50·x = 20·50·(1 − x) , a fall of one sixth."""
    book = shares(tmp_path / "b", {"m": {"A": 100.0}}, SPOTS, collateral=["m,A,20"])
    found = reversed_(exposed(book), Resources(against="collateral"), layer="margin", limit=40).exhausted[0]
    assert found.shock[0] == pytest.approx(-1 / 6, rel=1e-3)


def test_the_table(tmp_path: Path):
    book = shares(tmp_path / "b", {"m": {"A": 100.0, "B": 50.0}}, SPOTS)
    found = reversed_(exposed(book), Resources(own=100.0), layer=["own", "margin"])
    rows = found.table().to_pylist()
    assert [(row["layer"], row["factor"]) for row in rows] == [
        (layer, factor) for layer in ("margin", "own") for factor in ("spot:A", "spot:B")
    ]
    for row in rows:
        assert row["stressed"] == pytest.approx(row["level"] * (1 + row["shock"]), rel=1e-12)
        assert row["level"] == SPOTS[row["factor"][-1]]
    law = found.law
    for one in found.exhausted:
        of_layer = [row for row in rows if row["layer"] == one.layer]
        assert [row["sigmas"] for row in of_layer] == pytest.approx((one.shock / law.deviation).tolist())
        assert np.sqrt(one.shock @ np.linalg.solve(law.root @ law.root.T, one.shock)) == pytest.approx(
            one.breaking.distance, rel=1e-9
        )
    assert {facts["revaluations"] for facts in found.summary()} == {found.revaluations}
    assert 0 < found.revaluations <= 50_000 + 2  # the search's, and one of each point found
    assert found.summary()[1]["probability"] == found.exhausted[1].plausibility.tail


def test_the_law(tmp_path: Path):
    """The covariance is that of Monte Carlo's paths; whitening undoes it; perfect correlation loses a direction."""
    config = CONFIG.replace("[fhs]", '[monte_carlo]\npaths = 200_000\ncopula = "student_t"\ndof = 8')
    book = shares(tmp_path / "b", {"m": {"A": 1.0, "B": 1.0, "C": 1.0}}, SPOTS, config=config)
    m = exposed(book).measured
    every = np.ones(3, np.bool_)
    law = factor_law(m.book, m.config, m.factors, m.backend, every)
    sigma = covariance(book, ["spot:A", "spot:B", "spot:C"])
    assert law.root @ law.root.T == pytest.approx(sigma, rel=1e-10)
    assert law.dof == 8
    paths = measured(m.book, m.config, m.factors, threads=1).sets["monte_carlo"].shock
    assert np.cov(paths, rowvar=False) == pytest.approx(sigma, rel=0.03, abs=0.02 * sigma.max())
    points = np.random.default_rng(0).standard_normal((5, 3))
    assert law.whitened(law.shocks(points)) == pytest.approx(points, abs=1e-9)
    history = m.book.history
    history.level[:, 1] = 2.0 * history.level[:, 0]
    same = factor_law(m.book, m.config, m.factors, m.backend, every)
    assert same.root.shape == (3, 2)
    one = factor_law(m.book, m.config, m.factors, m.backend, np.array([False, True, False]))
    assert one.root.shape == (3, 1)
    assert (one.root[[0, 2]] == 0.0).all()


def test_gaps_fall_from_layer_to_layer_and_agree_with_the_waterfall(tmp_path: Path, monkeypatch):
    """In random moves: a layer is exhausted where what comes after it pays something, and not otherwise."""
    held = {"a": {"A": 100.0}, "b": {"B": -240.0}, "c": {"C": 300.0, "A": -30.0}}
    book = shares(tmp_path / "b", held, SPOTS, {"a": 50.0, "b": 80.0, "c": 20.0, "d": 60.0})
    e = exposed(book)
    rules = Resources(own=70.0, own_after=30.0, assessment=0.5)
    state = LimitState(e, house_of(e.measured.book), rules)
    shock = 0.08 * np.random.default_rng(1).standard_normal((400, 3))
    gaps = state.all_gaps(shock)
    assert state.revaluations == 400
    _, falls = state.defaults(shock)
    left = np.array([falls.used[row + 1 :].sum(axis=0) for row in range(len(BREAKABLE))])
    assert ((gaps <= 0.0) == (left > 0.0)).all()
    assert gaps[left > 0.0] == pytest.approx(-left[left > 0.0])
    assert (np.diff(gaps, axis=0) >= -1e-9).all()
    monkeypatch.setattr(limit_state, "AT_A_TIME", 7)  # a few at a time: the same
    assert state.all_gaps(shock[:50]) == pytest.approx(gaps[:, :50], rel=1e-12)
    steps = 0.001 * np.eye(3)
    close = LimitState(e, house_of(e.measured.book), rules, np.full(3, 0.01)).around(shock[:9], steps)
    assert close.shape == (6, 9, 7)
    assert close[:, :, 0] == pytest.approx(gaps[:, :9], rel=1e-9)
    assert close[:, :, 1] == pytest.approx(state.all_gaps(shock[:9] + steps[0]), rel=1e-9)
    assert close[:, :, 6] == pytest.approx(state.all_gaps(shock[:9] - steps[2]), rel=1e-9)
    assert {int(n) for n in (gaps <= 0.0).sum(axis=0)} >= {0, 1, 2, 6}


def test_no_direction_breaks_earlier(tmp_path: Path):
    """A book of options, skewed and near their strikes: of 6,000 directions, half of them close to the one found, none
    is broken at 99.5 % of the distance.
    """
    book, config, factors, _ = load(write_book(tmp_path / "b", books.crypto(), books.config()))
    mild = StressFile.model_validate({"scenario": [{"name": "mild", "shocks": {"spot:*": -0.01}}]})
    e = exposure(book, config, factors, stress_scenarios(mild, book, config, factors), threads=1)
    rules = Resources(own=0.3 * float(e.margin.sum()))
    found = reversed_(e, rules, layer=["margin", "own"])
    state = LimitState(e, house_of(book), rules)
    rng = np.random.default_rng(4)
    for one in found.exhausted:
        aim = one.breaking.point / one.breaking.distance
        ways = np.concatenate([rng.standard_normal((3000, 3)), aim + 0.2 * rng.standard_normal((3000, 3))])
        ways *= 0.995 * one.breaking.distance / np.linalg.norm(ways, axis=1)[:, None]
        gaps = state.all_gaps(found.law.shocks(ways))[BREAKABLE.index(one.layer)]
        assert (gaps > 0.0).all()
        assert state.all_gaps(one.shock[None])[BREAKABLE.index(one.layer), 0] <= 0.0


def test_failed_accounts_are_left_out(tmp_path: Path):
    folder = shares(tmp_path / "b", {"m": {"A": 100.0}, "n": {"A": 1e6}}, SPOTS)
    book, config, factors, _ = load(folder)
    mild = StressFile.model_validate({"scenario": [{"name": "mild", "shocks": {"spot:*": -0.01}}]})
    known = Margins(np.array([200.0, np.nan]), {1: "failed there"})
    e = exposure(book, config, factors, stress_scenarios(mild, book, config, factors), margin=known, threads=1)
    house = house_of(book)
    lost = shortfalls(e.loss, e.before("margin"), house, Resources(), failed=e.broken)
    found = reverse_stress(e, house, Resources(), lost, Reverse(layer=("margin",))).exhausted[0]
    assert found.groups == ("m",)
    assert found.shock[0] == pytest.approx(-200 / 5000, rel=1e-3)
    sigma = np.sqrt(covariance(folder, ["spot:A"])[0, 0])
    assert found.breaking.distance == pytest.approx(0.04 / sigma, rel=1e-3)
