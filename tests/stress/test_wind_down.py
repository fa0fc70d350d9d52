"""Winding defaults down from a book: the numbers of its market and positions, by hand, and who is closed out."""

import math
from pathlib import Path

import numpy as np
import pytest
from oracle import books
from oracle.files import write_book
from oracle.pricing import black
from stress.breaking_books import CONFIG, covariance, exposed, write

from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load
from gpu_var.stress.cover import cover
from gpu_var.stress.defaulted_book import defaulted_book
from gpu_var.stress.house import house_of
from gpu_var.stress.shortfall import shortfalls
from gpu_var.stress.wind_down import WindDown, wind_down
from gpu_var.tables.config_close_out import CloseOut
from gpu_var.tables.config_stress_test import Resources

CRASH = {"name": "crash", "shocks": {"spot:*": -0.3, "iv:*": 0.5}, "spreads": 3.0, "adv": 0.5}
FILE = {"scenario": [CRASH, {"name": "rally", "shocks": {"spot:*": 0.2}}]}
LIQUID = {"adv": "400", "half_spread": "0.001", "vega_adv": "5000", "vol_half_spread": "0.01"}


def share_book(folder: Path, liquidity: dict[str, str] | None = None, config: str = CONFIG) -> Path:
    """Member m: its house holds 100 A, a client holds −40 A and another 20 A; its affiliate n holds 30 A."""
    said = LIQUID if liquidity is None else liquidity
    tables = {
        "instruments": ["instrument,kind,underlying", "A,spot,A"],
        "underlyings": [",".join(["underlying,currency,spot", *said]), ",".join(["A,USD,50", *said.values()])],
        "positions": ["account,instrument,quantity", "m,A,100", "m1,A,-40", "m2,A,20", "n,A,30", "z,A,-500"],
        "accounts": ["account,member,kind", "m,M,house", "m1,M,client", "m2,M,client", "n,N,house", "z,Z,house"],
        "members": ["member,group,contribution", "M,G,10", "N,G,10", "Z,Z,0"],
    }
    return write(folder, tables, {"spot:A": 50.0}, config)


def moves_of(folder: Path) -> np.ndarray:
    """The scenarios of [fhs], as a run has them."""
    book, config, factors, _ = load(folder)
    return measured(book, config, factors, threads=1).sets["fhs"].shock


def wound(folder: Path, n: int = 1, file: dict | None = None, **keys: object) -> WindDown | None:
    e = exposed(folder, file or FILE)
    house = house_of(e.measured.book)
    lost = shortfalls(e.loss, e.before("margin"), house, Resources())
    return wind_down(e, house, cover(lost.group, max(n, 2)), n, CloseOut.model_validate(keys))


def test_a_share_after_a_crash(tmp_path: Path):
    """The group G holds 110 A net, at 35 after a fall of 30 %. Half of the volume is left: 110/200 of a day, and three
    times the spread: 0.003·35·110. A day's moves are those of [fhs], and today's volatility is that of its filter.
    """
    folder = share_book(tmp_path / "b")
    w = wound(folder, members=("G",), scenario="crash", lag_days=0)
    sigma = math.sqrt(covariance(folder, ["spot:A"])[0, 0])
    money = 110 * 35.0 * sigma
    e, plan = w.book.exposures, w.plans["liquidate"]
    assert w.book.delta.tolist() == [110.0]
    assert e.delta_sigma == pytest.approx([money], rel=1e-9)
    assert e.delta_size.tolist() == [110 / 200]
    assert plan.days[0] == pytest.approx(110 / 200 / 0.25)
    assert plan.spread == pytest.approx([0.003 * 35 * 110] * 2, rel=1e-12)
    assert plan.impact == pytest.approx([2 / 3 * money * math.sqrt(0.25)] * 2, rel=1e-9)
    moves = moves_of(folder)[:, 0]
    worst = np.sort(-110 * 35 * moves)[-6:].mean()  # 60 scenarios at 90 %
    assert plan.risk == pytest.approx([worst * math.sqrt(2.2 / 3)] * 2, rel=1e-9)
    assert w.plans["hedge_and_auction"].risk == pytest.approx([worst * math.sqrt(1 / 3)] * 2, rel=1e-9)
    assert w.plans["hedge_and_auction"].auction == pytest.approx([0.0, 0.0], abs=1e-9)
    assert (w.defaulters, w.scenario, w.notes) == (("G",), "crash", ())


def test_todays_market(tmp_path: Path):
    w = wound(share_book(tmp_path / "b"), members=("M",), scenario="none")
    assert w.scenario is None
    assert w.defaulters == ("M",)
    assert w.book.delta.tolist() == [80.0]
    assert w.plans["liquidate"].spread[0] == pytest.approx(0.001 * 50 * 80)
    assert w.book.exposures.delta_size.tolist() == [80 / 400]


def test_clients_may_be_ported(tmp_path: Path):
    folder = share_book(tmp_path / "b")
    assert wound(folder, members=("G",), clients="ported").book.delta.tolist() == [130.0]
    assert wound(folder, members=("N", "Z")).book.delta.tolist() == [-470.0]
    assert wound(folder, members=("N", "Z")).defaulters == ("N", "Z")


def test_the_worst_cover_and_its_scenario_unless_given(tmp_path: Path):
    folder = share_book(tmp_path / "b")
    one = wound(folder)
    assert (one.defaulters, one.scenario) == (("Z",), "rally")
    two = wound(folder, n=2, scenario="crash")  # nobody but G loses there
    assert (two.defaulters, two.scenario) == (("G",), "crash")
    mild = {"scenario": [{"name": "mild", "shocks": {"spot:*": -0.001}}]}
    assert wound(folder, file=mild) is None
    assert wound(folder, scenario="none") is None
    for keys in ({"members": ("X",)}, {"scenario": "X"}):
        with pytest.raises(KeyError, match="X"):
            wound(folder, **keys)


def test_defaulters_that_hold_nothing(tmp_path: Path):
    folder = share_book(tmp_path / "b")
    with (folder / "accounts.csv").open("a") as file:
        file.write("idle,Y,house\n")
    assert wound(folder, members=("Y",)) is None


def test_what_is_not_known_costs_nothing_and_is_said(tmp_path: Path):
    w = wound(share_book(tmp_path / "b", {}), members=("G",))
    assert w.plans["liquidate"].cost.tolist() == [0.0, 0.0]
    assert w.plans["liquidate"].days.tolist() == [1.0, 1.0]
    assert w.notes == (
        "close-out: underlyings without adv: no impact of their delta: A",
        "close-out: underlyings without half_spread: no spread on their delta: A",
    )


def test_what_cannot_be_sold_in_time_is_said(tmp_path: Path):
    w = wound(share_book(tmp_path / "b", LIQUID | {"adv": "1"}), members=("G",), horizon_days=7)
    assert w.plans["liquidate"].days[0] == 7.0
    (note,) = w.notes
    assert "horizon_days = 7" in note
    assert "A" in note


def test_without_a_model_no_risk_is_known(tmp_path: Path):
    config = CONFIG[: CONFIG.index("[fhs]")] + "[scan]\nprice_range = 0.15\nvol_range = 0.25\n"
    w = wound(share_book(tmp_path / "b", config=config), members=("G",))
    assert np.isnan(w.plans["liquidate"].risk).all()
    assert w.plans["liquidate"].impact.tolist() == [0.0, 0.0]
    assert w.plans["liquidate"].spread[0] > 0.0
    assert "neither [fhs] nor [monte_carlo]" in w.notes[-1]
    assert w.summary()["liquidate"]["risk"] is None
    assert w.table()["risk"].null_count == 4


def test_an_option_after_a_crash(tmp_path: Path):
    """Short 10 puts at 90 on 100, at 70 and a volatility of 45 % after the crash: Black's delta and vega there."""
    put = "P,option,A,2026-04-05,90,put,10,0.3"
    underlyings = {"underlying": "A", "currency": "USD", "spot": "100", "carry": "none", **LIQUID}
    tables = {
        "instruments": ["instrument,kind,underlying,expiry,strike,right,multiplier,iv", put],
        "underlyings": [",".join(underlyings), ",".join(underlyings.values())],
        "positions": ["account,instrument,quantity", "m,P,-10"],
        "accounts": ["account,member,kind", "m,m,house"],
    }
    folder = write(tmp_path / "b", tables, {"spot:A": 100.0, "iv:A:60d": 0.3, "iv:A:120d": 0.3})
    w = wound(folder, members=("m",), scenario="crash")
    years, h = 90 / 365, 1e-4

    def price(spot: float, vol: float) -> float:
        return black(spot, 90.0, years, 0.0, vol, -1)

    delta = (price(70 + h, 0.45) - price(70 - h, 0.45)) / (2 * h)
    vega = (price(70.0, 0.45 + h) - price(70.0, 0.45 - h)) / (2 * h)
    sigma = np.sqrt(np.diag(covariance(folder, ["spot:A", "iv:A:60d", "iv:A:120d"])))
    e = w.book.exposures
    assert w.book.delta == pytest.approx([-100 * delta], rel=1e-6)
    assert w.book.vega == pytest.approx([100 * vega], rel=1e-6)
    assert e.vega_sigma == pytest.approx([100 * vega * 0.45 * 0.5 * (sigma[1] + sigma[2])], rel=1e-6)
    assert e.delta_sigma == pytest.approx([abs(100 * delta) * 70 * sigma[0]], rel=1e-6)
    assert e.vega_spread == pytest.approx([100 * vega * 0.01 * 3], rel=1e-6)
    assert e.vega_size == pytest.approx([100 * vega / 2500], rel=1e-6)
    moves = moves_of(folder)  # spot last, iv by name: 120d, 60d
    growth = 1 + 0.5 * (moves[:, 0] + moves[:, 1])
    expected = [
        -100 * (price(70 * (1 + s), 0.45 * g) - price(70, 0.45)) for s, g in zip(moves[:, 2], growth, strict=True)
    ]
    assert e.pnl[0] == pytest.approx(expected, abs=1e-8)
    assert e.linear[0] == pytest.approx(-100 * delta * 70 * moves[:, 2], rel=1e-5)
    assert w.plans["hedge_and_auction"].auction[0] > 0.0


@pytest.mark.parametrize("make", [books.crypto, books.world])
def test_greeks_of_today_are_those_of_the_run(tmp_path: Path, make):
    """Without a scenario: the deltas and vegas of one account are those of its margin, and so are the spreads."""
    keys = {"allow_unshocked": ["iv:CRASH"]} if make is books.world else {}
    book, config, factors, _ = load(write_book(tmp_path / "book", make(), books.config(**keys)))
    m = measured(book, config, factors, threads=1)
    row = {books.crypto: "maker", books.world: "a"}[make]
    account = book.accounts.name.to_pylist().index(row)
    d = defaulted_book(m, np.array([account]), np.zeros(len(factors.names)))
    own = m.cells.account == account
    assert d.underlying == tuple(book.underlyings.name[int(u)].as_py() for u in m.cells.underlying[own])
    assert d.delta == pytest.approx(m.sensitivity.delta[own], rel=1e-12)
    assert d.vega == pytest.approx(m.sensitivity.bucket_vega[own], rel=1e-12)
    assert d.exposures.delta_spread == pytest.approx(m.extra.liquidity_delta[own], rel=1e-12)
    assert d.exposures.vega_spread == pytest.approx(m.extra.liquidity_vega[own], rel=1e-12)
    assert d.exposures.pnl.sum(axis=0) == pytest.approx(m.pnl["fhs"][account], abs=1e-6)


def test_collateral_among_the_positions_is_not_closed_out(tmp_path: Path):
    folder = share_book(tmp_path / "b", config=CONFIG + "[collateral]\nsimulate = true\n")
    (folder / "collateral.csv").write_text("account,asset,quantity\nm,A,7\nm,USD,1000\n")
    e = exposed(folder, FILE)
    assert e.measured.book.pledged is not None
    assert wound(folder, members=("M",)).book.delta.tolist() == [80.0]


def test_the_table(tmp_path: Path):
    rows = wound(share_book(tmp_path / "b"), members=("G",), scenario="crash").table().to_pylist()
    assert [(r["strategy"], r["underlying"]) for r in rows] == [
        (way, name) for way in ("liquidate", "hedge_and_auction") for name in ("A", None)
    ]
    for row in rows:
        assert row["cost"] == pytest.approx(row["spread"] + row["impact"] + row["auction"])
        assert row["defaulters"] == ["G"]
        assert (row["delta"] is None) == (row["underlying"] is None)
