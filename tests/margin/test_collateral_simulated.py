"""Collateral in the risk run: covered calls are cheap, wrong-way collateral is dear, a currency moves with its rate."""

import math

import numpy as np
import pytest
from margin.posted_books import EURO, EURO_RETURNS, RETURNS, SPOT, TETHER, TOP, WORST, by_account, evaluate, holding
from oracle.oracle import Run

import gpu_var as gv
from gpu_var.tables.findings import InputError
from gpu_var.tables.pledged import pledges, with_collateral
from gpu_var.tables.slices import of_accounts

SIMULATE = "[collateral]\nsimulate = true\n"
CREDIT = SIMULATE + "credit_option_value = true\n"
FALL, RISE = 1 - math.exp(min(RETURNS)), math.exp(max(RETURNS)) - 1


def run(folder, accounts, posted, config=WORST + SIMULATE):
    return by_account(evaluate(folder, holding(accounts, posted), config))


def read(folder, accounts, posted, config=WORST + SIMULATE):
    evaluate(folder, holding(accounts, posted), config)
    loaded = gv.Config.load(folder / "margin.toml")
    return gv.read_book(folder, loaded), loaded


def test_a_pledged_coin_alone(tmp_path):
    """It can lose what it loses in the worst scenario, and its value covers that."""
    row = run(tmp_path, {"a": {}}, [("a", "X", 3.0)])["a"]
    assert row["margin"] == pytest.approx(3 * SPOT * FALL, rel=1e-12)
    assert row["collateral"] == row["collateral_market_value"] == 3 * SPOT
    assert row["excess"] == pytest.approx(3 * SPOT * (1 - FALL), rel=1e-12)


def test_a_covered_call(tmp_path):
    """Short a call of strike 50 on a coin of 100, the coin pledged: the two together are worth 50 in every scenario."""
    accounts, posted = (
        {"covered": {"C50": -1.0}, "naked": {"C50": -1.0}},
        [("covered", "X", 1.0), ("naked", "USD", 100)],
    )
    rows = run(tmp_path, accounts, posted, WORST + CREDIT)
    covered, naked = rows["covered"], rows["naked"]
    assert covered["margin"] == pytest.approx(0, abs=1e-6)
    assert covered["requirement"] == pytest.approx(50, abs=1e-6)  # the call's value, which is owed
    assert covered["excess"] == pytest.approx(50, abs=1e-6)
    assert naked["margin"] == pytest.approx(SPOT * RISE, rel=1e-6)
    assert naked["excess"] == pytest.approx(100 - 50 - SPOT * RISE, rel=1e-6)


def test_wrong_way_collateral(tmp_path):
    """A short put and the coin lose in the same scenario: the margin rises by the coin's own loss."""
    held = {"put": {"P100": -1.0}, "both": {"P100": -1.0}, "deep": {"P1000": -1.0}, "deep_both": {"P1000": -1.0}}
    rows = run(tmp_path, held, [("both", "X", 1.0), ("put", "USD", 100.0), ("deep_both", "X", 1.0)])
    assert rows["put"]["margin"] > 1
    assert rows["both"]["margin"] == pytest.approx(rows["put"]["margin"] + SPOT * FALL, rel=1e-12)
    assert rows["both"]["excess"] < rows["put"]["excess"]
    assert rows["deep"]["margin"] == pytest.approx(SPOT * FALL, rel=1e-9)  # it is as good as long a coin
    assert rows["deep_both"]["margin"] == pytest.approx(2 * SPOT * FALL, rel=1e-9)


def test_the_same_as_holding_it(tmp_path):
    """Pledged coins are margined as a spot position is, add-ons and all; only they count as collateral."""
    held = {"C100": -2.0, "P100": 3.0}
    tables = holding({"pledged": held, "held": {**held, "X": 5.0}}, [("pledged", "X", 5.0)])
    tables["underlyings"][0] |= {"half_spread": 0.002, "adv": 1.0}
    config = TOP + "[fhs]\nlookback = 10\n[monte_carlo]\npaths = 50\n" + SIMULATE
    rows = by_account(evaluate(tmp_path, tables, config))
    pledged, like = rows["pledged"], rows["held"]
    assert pledged["concentration"] > 0 < pledged["liquidity"]
    for name in ("margin", "core", "concentration", "liquidity", "fhs_es", "mc_es", "mc_var_se", "net_option_value"):
        assert pledged[name] == pytest.approx(like[name], rel=1e-12), name
    assert (pledged["collateral"], like["collateral"]) == (5 * SPOT, 0)


def test_a_currency_moves_with_its_rate_alone(tmp_path):
    posted = [("long", "EUR", 1000.0), ("owed", "EUR", -500.0), ("both", "EUR", 1000.0), ("both", "USD", 7.0)]
    result = evaluate(tmp_path, holding({"long": {}, "owed": {}, "both": {"X": 2.0}}, posted), WORST + SIMULATE)
    rows = by_account(result)
    assert rows["long"]["margin"] == pytest.approx(1000 * EURO * (1 - math.exp(min(EURO_RETURNS))), rel=1e-12)
    assert rows["owed"]["margin"] == pytest.approx(500 * EURO * (math.exp(max(EURO_RETURNS)) - 1), rel=1e-12)
    assert rows["owed"]["standing"] == "call"
    joint = [2 * SPOT * math.expm1(x) + 1000 * EURO * math.expm1(y) for x, y in zip(RETURNS, EURO_RETURNS, strict=True)]
    assert rows["both"]["margin"] == pytest.approx(-min(joint), rel=1e-12)
    assert rows["both"]["collateral"] == pytest.approx(1000 * EURO + 7)
    cell = next(row for row in result.breakdown.to_pylist() if row["account"] == "owed")
    assert (cell["underlying"], cell["currency"], cell["delta"]) == ("EUR", "EUR", -500)
    assert (cell["liquidity_delta"], cell["concentration"]) == (0, 0)
    assert [note for note in result.notes if "EUR" in note] == [
        "history.csv: ignored, for they concern nothing that is held: spot:EUR"
    ]


def test_what_no_scenario_moves_has_its_haircut(tmp_path):
    tether = WORST.replace('["iv:X"]', '["iv:X", "fx:USDT"]')
    tables = holding({"a": {"X": 1.0}}, [("a", "USDT", 200.0), ("a", "X", 1.0)])
    with pytest.raises(InputError, match="line 2, column asset: 'USDT' has no haircut; expected one in"):
        evaluate(tmp_path / "none", tables, tether + SIMULATE)
    result = evaluate(tmp_path / "one", tables, tether + SIMULATE + "haircuts = { USDT = 0.02, X = 0.5 }\n")
    row = by_account(result)["a"]
    assert row["collateral"] == pytest.approx(200 * TETHER * 0.98 + SPOT)
    assert row["margin"] == pytest.approx(2 * SPOT * FALL)
    assert "collateral: not simulated, for no scenario moves it, and valued with its haircut: USDT" in result.notes


def test_collateral_needs_its_factors(tmp_path):
    tables = holding({"a": {"X": 1.0}}, [("a", "EUR", 200.0), ("a", "Y", 1.0)])
    tables["underlyings"].append({"underlying": "Y", "currency": "USD", "spot": 5.0})
    del tables["history"]["fx:EUR"]
    with pytest.raises(InputError) as error:
        evaluate(tmp_path / "simulated", tables, WORST + SIMULATE)
    assert [text.split(";")[0] for text in error.value.findings.errors] == [
        "history.csv, column spot:Y: missing",
        "history.csv, column fx:EUR: missing",
    ]
    evaluate(tmp_path / "not", tables, WORST + '[collateral]\nhaircuts = { "*" = 0.1 }\n')


def test_haircuts_that_concern_nothing_are_said(tmp_path):
    config = WORST + '[collateral]\nhaircuts = { XX = 0.1, "*" = 0.2 }\n'
    result = evaluate(tmp_path / "some", holding({"a": {"X": 1.0}}, [("a", "X", 2.0)]), config)
    assert "[collateral] haircuts: neither an underlying nor a currency of the book: XX" in result.notes
    tables = holding({"a": {"X": 1.0}}, [])
    del tables["collateral"]
    result = evaluate(tmp_path / "none", tables, WORST + SIMULATE)
    assert "[collateral]: the book has no table collateral, so no account has posted any" in result.notes
    assert by_account(result)["a"]["collateral"] == 0


def test_the_book_with_its_collateral(tmp_path):
    posted = [("a", "X", 1.5), ("b", "EUR", 2.0), ("b", "USD", 3.0), ("a", "X", 0.5), ("a", "EUR", -1.0)]
    book, config = read(tmp_path, {"a": {"C50": 1.0}, "b": {}, "c": {"X": 4.0}}, posted)
    more = with_collateral(book, config)
    assert with_collateral(more, config) is more
    assert with_collateral(book, config.model_copy(update={"collateral": None})) is book
    n_instruments, n_underlyings = len(book.instruments.kind), len(book.underlyings.spot)
    assert more.instruments.name.to_pylist()[n_instruments:] == ["EUR (collateral)", "X (collateral)'"]
    assert more.underlyings.name.to_pylist() == ["X", "EUR"]
    assert more.instruments.underlying.tolist()[n_instruments:] == [1, 0]
    assert more.cash.tolist() == [False] * n_underlyings + [True]
    assert more.currencies.name[more.underlyings.currency[1]] == "EUR"
    for first, second in ((book.instruments, more.instruments), (book.underlyings, more.underlyings)):
        for name, column in vars(first).items():
            now = getattr(second, name)
            assert len(now) == len(second.name)
            assert (
                now[: len(column)].to_pylist() == column.to_pylist()
                if name == "name"
                else np.array_equal(now[: len(column)], column, equal_nan=True)
            )
    p, names = more.positions, more.instruments.name.to_pylist()
    held = {(int(a), names[i]): q for a, i, q in zip(p.account, p.instrument, p.quantity, strict=True) if q}
    assert held == {
        (0, "C50"): 1.0,
        (0, "EUR (collateral)"): -1.0,
        (0, "X (collateral)'"): 2.0,
        (1, "EUR (collateral)"): 2.0,
        (2, "X"): 4.0,
    }
    key = p.account.astype(np.int64) * len(names) + p.instrument
    assert (np.diff(key) > 0).all()
    first, again = pledges(book, config), pledges(more, config)
    assert (first.name, first.underlying.tolist()) == (again.name, again.underlying.tolist())


def test_some_accounts_of_the_book(tmp_path):
    """Cut before or after its collateral is put among the positions, an account's book holds the same."""
    posted = [("a", "X", 1.5), ("b", "X", 2.0), ("b", "EUR", 1.0)]
    book, config = read(tmp_path, {"a": {"C50": 1.0}, "b": {"X": 1.0}}, posted)
    before = with_collateral(of_accounts(book, np.array([1])), config)
    after = with_collateral(of_accounts(with_collateral(book, config), np.array([1])), config)
    for cut in (before, after):
        assert sorted(cut.positions.quantity.tolist()) == [1.0, 1.0, 2.0]


def test_against_the_oracle(tmp_path):
    """The oracle knows no collateral: it is told that the coins are a spot position."""
    held = {"C100": -2.0, "P100": 3.0}
    settings = {"as_of": "2026-01-05", "base_currency": "USD", "allow_unshocked": ["iv:X"], "fhs": {"lookback": 10}}
    expected = Run(holding({"a": {**held, "X": 5.0}}, []), settings).margin["a"]
    row = run(tmp_path, {"a": held}, [("a", "X", 5.0)], TOP + "[fhs]\nlookback = 10\n" + SIMULATE)["a"]
    for name in ("margin", "core", "fhs_var", "fhs_es", "fhs_worst", "liquidity", "net_option_value"):
        assert row[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("held", [{"P100": -1.0}, {"C50": -1.0}, {"X": 2.0}, {"C100": 1.0}])
def test_more_of_a_coin_never_lowers_the_excess(tmp_path, held):
    """A coin cannot lose more than it is worth, and expected shortfall is sub-additive (Artzner et al. 1999)."""
    quantities = np.linspace(0, 4, 17).tolist()
    accounts = {f"{i:02d}": held for i in range(len(quantities))}
    posted = [(name, "X", q) for name, q in zip(accounts, quantities, strict=True)]
    rows = run(tmp_path, accounts, posted, TOP + "level = 0.7\n[fhs]\nlookback = 10\n" + SIMULATE)
    excess = [rows[name]["excess"] for name in accounts]
    assert (np.diff(excess) > 0).all()


def test_by_stress_scenarios(tmp_path):
    """-30 % on coins and -10 % on currencies: 0.3·2·100 + 0.1·1000·1.1."""
    stress = '[stress]\n[[stress.scenario]]\nname = "s"\nshocks = { "spot:*" = -0.3, "fx:*" = -0.1 }\n'
    posted = [("a", "X", 2.0), ("a", "EUR", 1000.0), ("a", "USD", 10.0)]
    row = run(tmp_path, {"a": {}}, posted, TOP + stress + SIMULATE)["a"]
    assert row["margin"] == pytest.approx(0.3 * 2 * SPOT + 0.1 * 1000 * EURO)
    assert row["collateral"] == pytest.approx(2 * SPOT + 1000 * EURO + 10)


def test_by_the_scan(tmp_path):
    """A scan moves coins by its range and currencies not at all: alone, it leaves them to their haircut."""
    scan = "[scan]\nprice_range = 0.2\nvol_range = 0.25\n"
    posted = [("coin", "X", 2.0), ("euro", "EUR", 100.0)]
    rows = run(
        tmp_path / "alone", {"coin": {}, "euro": {}}, posted, TOP + scan + SIMULATE + "haircuts = { EUR = 0.1 }\n"
    )
    assert rows["coin"]["scan"] == pytest.approx(0.2 * 2 * SPOT)
    assert (rows["coin"]["collateral"], rows["euro"]["margin"]) == (2 * SPOT, 0)
    assert rows["euro"]["collateral"] == pytest.approx(100 * EURO * 0.9)
    rows = run(tmp_path / "both", {"coin": {}, "euro": {}}, posted, WORST + scan + SIMULATE)
    assert rows["euro"]["scan"] == 0
    assert rows["euro"]["margin"] == pytest.approx(100 * EURO * (1 - math.exp(min(EURO_RETURNS))), rel=1e-12)
    assert rows["euro"]["collateral"] == pytest.approx(100 * EURO)
