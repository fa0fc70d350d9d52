"""Euler contributions: they add up, scale with the position, and are what a reader finds by hand."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import books
from oracle.files import write_book

import gpu_var as gv
from gpu_var.batch.explain import explain
from gpu_var.demo import write_demo
from gpu_var.margin.contributions import adds_up, contributions, core_shares
from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load
from gpu_var.tables.book import Positions
from gpu_var.tables.slices import of_accounts

# Five days: X moves by +10, −20, +30, −10, +20 per cent, Y by −10, +10, +20, −40, +5.
MOVES = {"X": [0.1, -0.2, 0.3, -0.1, 0.2], "Y": [-0.1, 0.1, 0.2, -0.4, 0.05]}


def hand_book(folder, quantities, **changes):
    """An account that holds X at 100 and Y at 50, and five scenarios without any filter."""
    history = {"date": [date(2026, 1, 1) + timedelta(days=i) for i in range(6)]}
    for name, moves in MOVES.items():
        history[f"spot:{name}"] = np.cumprod([1.0, *(1.0 + x for x in moves)]).tolist()
    book = {
        "underlyings": [{"underlying": u, "currency": "USD", "spot": spot} for u, spot in (("X", 100), ("Y", 50))],
        "instruments": [
            {"instrument": name, "kind": kind, "underlying": name[0], "expiry": expiry}
            for name, kind, expiry in (("X", "spot", None), ("Y", "spot", None), ("X-F", "future", "2026-03-01"))
        ],
        "positions": [{"account": "a", "instrument": name, "quantity": q} for name, q in quantities.items()],
        "history": history,
    }
    config = {"as_of": "2026-01-06", "base_currency": "USD", "level": 0.5, "returns": "simple"}
    config |= {"fhs": {"lookback": 5, "scaling": "none"}} | changes
    return write_book(folder, book, config)


def split(folder, **more):
    """The account measured alone, and its contributions by instrument."""
    book, config, factors, _ = load(folder)
    m = measured(book, config, factors)
    c = contributions(m, **more)
    return m, c, dict(zip(book.instruments.name.take(c.instrument).to_pylist(), c.loss["fhs"].tolist(), strict=True))


def test_five_scenarios_by_hand(tmp_path):
    """10 X and −20 Y: losses are −10·100·x + 20·50·y = 1,000·(y − x): −200, 300, −100, −300, −150.

    n = 5 × 0.5 = 2.5: the worst is 300 (day 2), then −100 (day 3), and −150 (day 5) for a half; so ES is
    (300 − 100 − 75)/2.5 = 50. In them X loses 200, −300 and −200, (200 − 300 − 100)/2.5 = −80, and Y, which is sold,
    100, 200 and 50, (100 + 200 + 25)/2.5 = 130.
    """
    m, c, found = split(hand_book(tmp_path, {"X": 10, "Y": -20}))
    assert m.tails["fhs"].es[0] == pytest.approx(50.0)
    assert found == pytest.approx({"X": -80.0, "Y": 130.0})
    assert c.weight["fhs"].tolist() == pytest.approx([0.0, 0.4, 0.4, 0.0, 0.2])


@pytest.mark.parametrize(
    ("measure", "day", "x", "y"), [("var", 4, -200.0, 50.0), ("worst", 1, 200.0, 100.0)], ids=["var", "worst"]
)
def test_of_var_and_of_the_worst_it_is_the_loss_in_their_scenario(tmp_path, measure, day, x, y):
    """VaR is the third worst loss, that of day 5; the worst is that of day 2."""
    _, c, found = split(hand_book(tmp_path, {"X": 10, "Y": -20}, measure=measure))
    assert c.weight["fhs"].tolist() == [float(i == day) for i in range(5)]
    assert found == pytest.approx({"X": x, "Y": y})


def test_a_position_and_its_offset_have_opposite_contributions(tmp_path):
    """A future at the price of spot moves as it does."""
    _, c, found = split(hand_book(tmp_path, {"X": 10, "X-F": -10, "Y": 3}))
    assert found["X"] == pytest.approx(-found["X-F"], rel=1e-12)
    assert found["X"] != 0.0
    assert adds_up(c.loss["fhs"], found["Y"])


def test_a_margin_that_is_all_rounding_is_explained_too(tmp_path):
    """Spot and a future on it, a million of them: what is left is the rounding of sums."""
    folder, out = hand_book(tmp_path / "book", {"X": 1e6, "X-F": -1e6}), tmp_path / "out"
    gv.run(gv.read_book(folder), gv.Config.load(folder / "margin.toml"), backend="cpu").write(out)
    e = explain(out, "a", out)
    assert abs(e.row["margin"]) < 1e-6
    parts = e.contributions["fhs"].to_pylist()
    assert parts[0] == pytest.approx(-parts[1], rel=1e-12)
    assert parts[0] > 1e6


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 1e4), st.integers(0, 2**32 - 1))
def test_contributions_scale_with_the_account(crypto, scale, seed):
    book, config, factors = crypto
    p = book.positions
    drawn = replace(p, quantity=np.random.default_rng(seed).normal(0.0, 5.0, len(p.quantity)))
    scaled = replace(drawn, quantity=drawn.quantity * scale)
    found = []
    for positions in (drawn, scaled):
        m = measured(replace(book, positions=positions), config, factors)
        c = contributions(m)
        assert adds_up(c.loss["fhs"], m.tails["fhs"].es[0])
        found.append(c.loss["fhs"])
    size = np.abs(found[0]).sum()
    assert found[1] / scale == pytest.approx(found[0], rel=1e-9, abs=1e-9 * size)


@pytest.fixture(scope="module")
def crypto(tmp_path_factory):
    folder = write_book(tmp_path_factory.mktemp("crypto"), books.crypto(), books.config())
    book, config, factors, _ = load(folder)
    return of_accounts(book, np.array([book.accounts.name.to_pylist().index("maker")])), config, factors


def test_positions_may_be_taken_a_few_at_a_time(crypto, monkeypatch):
    book, config, factors = crypto
    m = measured(book, config, factors)
    at_once = contributions(m)
    monkeypatch.setattr("gpu_var.margin.contributions._BYTES", 8 * 30 * 3)
    by_threes = contributions(m)
    assert by_threes.instrument.tolist() == at_once.instrument.tolist()
    assert by_threes.loss["fhs"].tolist() == pytest.approx(at_once.loss["fhs"].tolist(), rel=1e-12)


def test_a_contribution_is_the_derivative_by_size(crypto):
    """∂ES/∂q·q by a central difference small enough that the tail's scenarios stay (Tasche 2000)."""
    book, config, factors = crypto
    c = contributions(measured(book, config, factors))
    p, step = book.positions, 1e-6
    for at, row in enumerate(np.flatnonzero(p.quantity != 0)):
        es = []
        for sign in (1.0, -1.0):
            quantity = p.quantity.copy()
            quantity[row] *= 1.0 + sign * step
            moved = Positions(p.account, p.instrument, quantity)
            es.append(measured(replace(book, positions=moved), config, factors).tails["fhs"].es[0])
        assert (es[0] - es[1]) / (2.0 * step) == pytest.approx(c.loss["fhs"][at], rel=1e-5, abs=1e-3)


CASES = {
    "crypto": (books.crypto, {}),
    "crypto, a fraction of a scenario": (books.crypto, {"level": 0.985}),
    "crypto, half of all": (books.crypto, {"level": 0.5, "fhs": {"lookback": 29}}),
    "crypto, value at risk": (books.crypto, {"measure": "var", "fhs": {"lookback": 40, "scaling": "mid"}}),
    "crypto, overlapping": (
        books.crypto,
        {"holding_period_days": 3, "level": 0.9, "fhs": {"lookback": 40, "horizon": "overlapping"}},
    ),
    "crypto, two models": (
        books.crypto,
        {"measure": "worst", "monte_carlo": {"paths": 501, "copula": "student_t", "dof": 4}},
    ),
    "crypto, blend": (
        books.crypto,
        {"stress": {"period": [["2025-12-10", "2025-12-20"]]}, "core": {"combine": "blend", "stress_weight": 0.25}},
    ),
    "world": (books.world, {"allow_unshocked": ["iv:CRASH"], "monte_carlo": {"paths": 333}}),
    "oil, dynamics normal": (books.oil, {"as_of": "2020-05-06", "roll": True}),
    "equity, American": (books.equity, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_they_add_up_on_awkward_books(tmp_path, case):
    make, changes = CASES[case]
    folder = write_book(tmp_path / "book", make(), books.config(**changes))
    out = tmp_path / "out"
    gv.run(gv.read_book(folder), gv.Config.load(folder / "margin.toml"), backend="cpu").write(out)
    _check_all(out, every=1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize("which", [0, 1], ids=["eth", "goog"])
def test_they_add_up_on_real_books(demo, tmp_path, which):
    out = tmp_path / "out"
    gv.run(gv.read_book(demo[which]), gv.Config.load(demo[which] / "margin.toml"), backend="cpu").write(out)
    _check_all(out, every=16)


def _check_all(out, every):
    """Each column of contributions adds up to the column of margin.parquet, floored or not, to 1e-9."""
    rows = pq.read_table(out / "margin.parquet").to_pylist()
    for row in rows[::every]:
        e = explain(out, row["account"])
        names = {"fhs": "fhs", "monte_carlo": "mc"}
        for model in set(e.contributions.column_names) & set(names):
            parts = np.array(e.contributions[model].to_pylist(), dtype=float)
            whole = row[f"{names[model]}_{e.config.measure}"]
            assert max(parts.sum(), 0.0) == pytest.approx(whole, rel=1e-9, abs=1e-9 * np.abs(parts).sum())
        core = np.array(e.contributions["core"].to_pylist(), dtype=float)
        assert max(core.sum(), 0.0) == pytest.approx(row["core"], rel=1e-9, abs=1e-9 * np.abs(core).sum())
        for table in (e.by_underlying, e.by_expiry):
            assert sum(table["core"].to_pylist()) == pytest.approx(core.sum(), rel=1e-9, abs=1e-9 * np.abs(core).sum())
        assert sum(e.composition["amount"].to_pylist()) == pytest.approx(row["margin"], rel=1e-9)
        assert "not itemised" not in e.composition["component"].to_pylist()


def test_a_blend_is_split_by_its_weights(tmp_path):
    folder = hand_book(
        tmp_path,
        {"X": 10, "Y": -20},
        stress={"period": [["2026-01-02", "2026-01-06"]]},
        core={"combine": "blend", "stress_weight": 0.25},
    )
    m, c, found = split(folder)
    assert core_shares(m) == {"fhs": 0.75, "stress": 0.25}
    # The worst day loses 300: 200 in X and 100 in Y.
    assert c.loss["stress"].tolist() == pytest.approx([200.0, 100.0])
    assert c.core is not None
    assert c.core.tolist() == pytest.approx([0.75 * -80.0 + 0.25 * 200.0, 0.75 * 130.0 + 0.25 * 100.0])
    assert m.core.amount[0] == pytest.approx(0.75 * 50.0 + 0.25 * 300.0)
    assert found["X"] == pytest.approx(-80.0)
