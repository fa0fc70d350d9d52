"""Collateral: its value after haircuts, the requirement, and where an account stands, by hand and as properties."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from margin.posted_books import EURO, SPOT, TETHER, WORST, by_account, evaluate, holding
from oracle.measures import measures

from gpu_var.margin.collateral import after_haircut, requirement_of, standing
from gpu_var.tables.config_collateral import Collateral
from gpu_var.tables.findings import InputError

NEW = ["initial", "maintenance", "collateral", "collateral_market_value", "requirement", "excess", "standing"]
RANK = {"liquidation": 0, "call": 1, "safe": 2}
HAIRCUTS = '[collateral]\nhaircuts = { X = 0.15, EUR = 0.05, "*" = 1.0 }\n'
LONG = {"a": {"X": 2.0}, "b": {"C100": -1.0}, "idle": {}}
FALL, RISE = 1 - math.exp(-0.08), math.exp(0.06) - 1  # the worst and the best of the coin's returns

money = st.floats(-1e9, 1e9)
share = st.floats(0, 1)


def test_haircuts_by_hand(tmp_path):
    """1,000·1.1·0.95 + 2·100·0.85 + 50, a debt in full, and an asset that only the wildcard knows."""
    posted = [("a", "EUR", 400.0), ("a", "X", 2.0), ("a", "USD", 50.0), ("a", "EUR", 600.0)]
    posted += [("b", "EUR", -10.0), ("b", "USDT", 500.0), ("idle", "X", 1.0)]
    rows = by_account(evaluate(tmp_path, holding(LONG, posted), WORST + HAIRCUTS))
    assert rows["a"]["collateral"] == pytest.approx(1000 * EURO * 0.95 + 2 * SPOT * 0.85 + 50, rel=1e-15)
    assert rows["a"]["collateral_market_value"] == pytest.approx(1000 * EURO + 2 * SPOT + 50, rel=1e-15)
    assert rows["b"]["collateral"] == pytest.approx(-10 * EURO, rel=1e-15)
    assert rows["b"]["collateral_market_value"] == pytest.approx(-10 * EURO + 500 * TETHER, rel=1e-15)
    assert rows["a"]["margin"] == pytest.approx(2 * SPOT * FALL, rel=1e-12)  # two coins, no add-ons
    assert rows["a"]["excess"] == pytest.approx(1000 * EURO * 0.95 + 170 + 50 - 2 * SPOT * FALL)
    assert [rows[a]["standing"] for a in ("a", "b", "idle", "other")] == ["safe", "call", "safe", "safe"]
    idle = rows["idle"]  # collateral, but nothing to margin
    assert (idle["margin"], idle["collateral"], idle["excess"]) == (0, 85, 85)


def test_a_haircut_of_one_is_worthless_and_of_zero_nothing(tmp_path):
    posted = [("a", "X", 2.0), ("b", "EUR", 3.0)]
    run = evaluate(tmp_path, holding(LONG, posted), WORST + "[collateral]\nhaircuts = { X = 1, EUR = 0 }\n")
    rows = by_account(run)
    assert (rows["a"]["collateral"], rows["a"]["collateral_market_value"]) == (0, 2 * SPOT)
    assert rows["b"]["collateral"] == rows["b"]["collateral_market_value"] == pytest.approx(3 * EURO)


def test_a_haircut_of_the_base_currency_must_be_its_own():
    rules = Collateral(haircuts={"*": 0.5, "X": 0.1})
    assert [rules.haircut(a, "USD") for a in ("X", "Y", "USD")] == [0.1, 0.5, 0.0]
    assert Collateral(haircuts={"USD": 0.25}).haircut("USD", "USD") == 0.25
    assert Collateral().haircut("X", "USD") is None


def test_a_coin_is_the_base_currency(tmp_path):
    """An asset that is both an underlying and the base currency counts one for one."""
    tables = holding({"a": {"X": -2.0}}, [("a", "X", 3.0), ("a", "USD", 100.0)])
    tables["fx"].append({"currency": "USD", "rate": 0.01})
    tables["history"]["fx:USD"] = [1 / level for level in tables["history"]["spot:X"]]
    config = WORST.replace('"USD"', '"X"') + "[collateral]\nhaircuts = { USD = 0.5 }\n"
    row = by_account(evaluate(tmp_path, tables, config))["a"]
    assert row["collateral"] == pytest.approx(3 + 100 * 0.01 * 0.5)


def test_initial_and_maintenance_by_factor(tmp_path):
    """Core 2·100·FALL = 15.38, liquidity 0.2, which no factor multiplies: initial 20.19, maintenance 7.89."""
    config = WORST + HAIRCUTS + "[initial]\nfactor = 1.3\n[maintenance]\nfactor = 0.5\n"
    expected = {20.20: "safe", 20.18: "call", 7.90: "call", 7.88: "liquidation", -1.0: "liquidation"}
    tables = holding({str(q): {"X": 2.0} for q in expected}, [(str(q), "USD", q) for q in expected])
    tables["underlyings"][0]["half_spread"] = 0.001
    rows = by_account(evaluate(tmp_path, tables, config))
    for posted, word in expected.items():
        row = rows[str(posted)]
        assert row["core"] == pytest.approx(2 * SPOT * FALL)
        assert row["initial"] == row["requirement"] == pytest.approx(1.3 * 2 * SPOT * FALL + 0.2)
        assert row["maintenance"] == pytest.approx(0.5 * 2 * SPOT * FALL + 0.2)
        assert row["excess"] == row["collateral"] - row["requirement"] == posted - row["requirement"]
        assert row["standing"] == word


@pytest.mark.parametrize("measure", ["es", "var"])
def test_maintenance_at_a_level_of_its_own(tmp_path, measure):
    """Against the measures worked out from the stored profit and loss, by sorting."""
    models = "[fhs]\nlookback = 10\n[monte_carlo]\npaths = 300\n"
    config = WORST.split("measure")[0] + f'level = 0.98\nmeasure = "{measure}"\n{models}[maintenance]\nlevel = 0.8\n'
    run = evaluate(tmp_path, holding({**LONG, "c": {"P100": -3.0, "X": -1.0}}, []), config)
    assert run.margin.column_names[-7:] == NEW
    for i, row in enumerate(run.margin.to_pylist()):
        lower = max(measures([-x for x in run.pnl[m][i].tolist()], 0.8)[measure] for m in ("fhs", "monte_carlo"))
        assert row["maintenance"] == pytest.approx(row["margin"] - row["core"] + max(0.0, lower), rel=1e-12, abs=1e-12)
        assert row["maintenance"] <= row["initial"] == row["margin"] == row["requirement"]
        assert row["collateral"] is row["excess"] is row["standing"] is None


def test_the_same_level_gives_the_same_margin(tmp_path):
    config = WORST.replace('"worst"', '"es"') + "[maintenance]\nlevel = 0.99\n"
    for row in evaluate(tmp_path, holding(LONG, []), config).margin.to_pylist():
        assert row["maintenance"] == row["initial"] == row["margin"]


def test_option_value_is_credited_up_to_the_margin(tmp_path):
    """A call of strike 50 on a coin of 100 is worth 50: held long it covers all of its margin, short it is owed."""
    config = WORST + HAIRCUTS + "credit_option_value = true\n"
    posted = [("short", "USD", 50.0)]
    rows = by_account(evaluate(tmp_path, holding({"long": {"C50": 1.0}, "short": {"C50": -1.0}}, posted), config))
    for row in rows.values():
        assert row["requirement"] == pytest.approx(max(0.0, row["margin"] - row["net_option_value"]), rel=1e-15)
    assert rows["long"]["net_option_value"] == pytest.approx(50, abs=1e-6)
    assert rows["long"]["margin"] == pytest.approx(SPOT * FALL, rel=1e-6)
    assert (rows["long"]["requirement"], rows["long"]["excess"], rows["long"]["standing"]) == (0, 0, "safe")
    assert rows["short"]["requirement"] == pytest.approx(SPOT * RISE + 50, rel=1e-6)
    assert rows["short"]["excess"] == pytest.approx(-SPOT * RISE, rel=1e-5)
    assert rows["short"]["standing"] == "call"


def test_without_the_tables_nothing_changes(tmp_path):
    tables = holding(LONG, [("a", "X", 2.0)])
    plain = evaluate(tmp_path / "plain", tables, WORST).margin
    with_them = evaluate(tmp_path / "more", tables, WORST + HAIRCUTS + "[initial]\n[maintenance]\nfactor = 1\n").margin
    assert not set(NEW) & set(plain.column_names)
    assert with_them.column_names == plain.column_names + NEW
    assert with_them.select(plain.column_names).equals(plain)
    for row in with_them.to_pylist():
        assert row["initial"] == row["maintenance"] == row["margin"]


def test_more_collateral_never_worsens_the_standing(tmp_path):
    quantities = np.linspace(-0.5, 1.5, 41).round(3).tolist()
    held = {f"{i:02d}": {"C50": -1.0} for i in range(len(quantities))}
    posted = [(name, "X", q) for name, q in zip(held, quantities, strict=True)]
    config = WORST + HAIRCUTS + "credit_option_value = true\n[maintenance]\nfactor = 0.25\n"
    rows = evaluate(tmp_path, holding(held, posted), config).margin.slice(0, len(held)).to_pylist()
    ranks = [RANK[row["standing"]] for row in rows]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}
    assert [row["excess"] for row in rows] == sorted(row["excess"] for row in rows)


def test_the_order_of_rows_does_not_matter(tmp_path):
    posted = [("a", asset, q) for asset, q in (("EUR", 0.1), ("X", 0.7), ("EUR", 1e9), ("X", 0.3), ("EUR", -1e9))]
    runs = [
        evaluate(tmp_path / str(i), holding(LONG, rows), WORST + HAIRCUTS).margin
        for i, rows in enumerate((posted, posted[::-1], posted[2:] + posted[:2]))
    ]
    assert runs[0].equals(runs[1])
    assert runs[0].equals(runs[2])


def test_a_failed_account_has_no_standing(tmp_path):
    tables = holding({"a": {"X": 2.0}, "huge": {"H": 1e15}}, [("a", "USD", 9.0), ("huge", "USD", 9.0)])
    tables["underlyings"].append({"underlying": "H", "currency": "USD", "spot": 1e300, "carry": "none"})
    tables["instruments"].append({"instrument": "H", "kind": "spot", "underlying": "H"})
    tables["history"]["spot:H"] = tables["history"]["spot:X"]
    rows = by_account(evaluate(tmp_path, tables, WORST + HAIRCUTS + "[maintenance]\nfactor = 0.5\n"))
    assert rows["huge"]["status"].startswith("failed")
    assert all(rows["huge"][name] is None for name in NEW)
    assert rows["a"]["standing"] == "call"  # 2·100·FALL = 15.4, of which 9 are posted


def test_a_value_that_is_not_a_number(tmp_path):
    tables = holding(LONG, [("a", "X", 1.0), ("a", "H", 1e10)])
    tables["underlyings"].append({"underlying": "H", "currency": "USD", "spot": 1e300, "carry": "none"})
    with pytest.raises(
        InputError, match=r"collateral\.csv line 3, column quantity: H: the value of some account's is not"
    ):
        evaluate(tmp_path, tables, WORST + HAIRCUTS)


def test_sums_that_are_too_large(tmp_path):
    tables = holding(LONG, [("a", "X", 6e14), ("a", "X", 6e14), ("b", "X", 1e15)])
    with pytest.raises(InputError) as error:
        evaluate(tmp_path, tables, WORST + HAIRCUTS)
    text = "collateral.csv line 2, column quantity: the quantities of account 'a' and asset 'X' sum to 1.2e+15"
    assert error.value.findings.errors == [f"{text}; expected a sum of at most 1e15 units, owned or owed"]


@given(money, share, share)
def test_haircuts_order(value, less, more):
    low, high = sorted((less, more))
    values = after_haircut(np.array([value, value]), np.array([low, high]))
    assert values[1] <= values[0] <= value
    assert after_haircut(np.array([value]), np.zeros(1))[0] == value
    assert after_haircut(np.array([value]), np.ones(1))[0] == min(value, 0)


@given(st.floats(0, 1e9), money, st.booleans())
def test_requirement(margin, option_value, credit):
    one = requirement_of(np.array([margin]), np.array([option_value]), credit_option_value=credit)[0]
    assert one == (max(0.0, margin - option_value) if credit else margin)
    assert one >= 0


@settings(deadline=None)
@given(st.lists(money, min_size=2, max_size=9), st.floats(0, 1e9), share)
def test_standing_improves_with_collateral(collateral, initial, ratio):
    collateral = np.sort(np.array(collateral))
    needed = np.full(len(collateral), initial)
    words = standing(collateral, needed, needed * ratio).tolist()
    ranks = [RANK[word] for word in words]
    assert ranks == sorted(ranks)
    for have, word in zip(collateral, words, strict=True):
        expected = "safe" if have >= initial else "call" if have >= initial * ratio else "liquidation"
        assert word == expected
    assert "liquidation" not in standing(collateral, needed, None).tolist()


def test_written_as_parquet(tmp_path):
    run = evaluate(tmp_path / "book", holding(LONG, [("a", "X", 2.0)]), WORST + HAIRCUTS)
    run.write(tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "margin.parquet")
    assert table.column_names[-7:] == NEW
    assert table.equals(run.margin)
