"""[stress]: written and historical scenarios, what is wrong with them, runs without a history, and the blend."""

import math

import numpy as np
import pytest
from cli.small import write_book
from scipy.stats import norm
from tables.base import write

from gpu_var.cli import main
from gpu_var.margin.requirement import requirement
from gpu_var.market.checks import load
from gpu_var.market.state import shocks, underlyings
from gpu_var.scenarios.stress import changes, stress

TOP = 'as_of = 2026-01-01T00:00:00Z\nbase_currency = "USD"\n'
CRASH = '[[stress.scenario]]\nname = "crash"\nshocks = { "spot:*" = -0.3 }\n'


def config(shocks, name="crash", top=""):
    return f'{TOP}{top}\n[[stress.scenario]]\nname = "{name}"\nshocks = {{ {shocks} }}\n'


def made(folder, text, **changes_):
    book, parsed, factors, findings = load(write(folder / "book", margin__toml=text, **changes_))
    return stress(book, parsed, factors), book, parsed, factors, findings


@pytest.mark.parametrize("returns", ["log", "simple"])
def test_growth_is_exactly_what_is_written(tmp_path, returns):
    text = config('"spot:*" = -0.3, "iv:*" = 0.5, "fx:EUR" = -0.1', top=f'returns = "{returns}"')
    found, book, parsed, factors, _ = made(tmp_path, text)
    assert (found.model, found.name, found.samples, found.floored) == ("stress", ["crash"], 1, 0)
    for part in underlyings(book, parsed, np.flatnonzero(book.held)):
        state = shocks(book, parsed, factors, part, found.shock)
        for m, forward in enumerate(part.market.today.forward):
            levels = state.at(m)
            np.testing.assert_allclose(levels.spot, 0.7 * part.spot, rtol=1e-15)
            np.testing.assert_allclose(levels.forward, 0.7 * forward, rtol=1e-15)
            np.testing.assert_allclose(levels.fx, part.fx * (0.9 if part.position == 1 else 1.0), rtol=1e-15)
            if part.market.today.years[m] > 0:
                np.testing.assert_allclose(levels.vol_growth, 1.5, rtol=1e-15)


def test_a_later_pattern_overrides_an_earlier_one(tmp_path):
    for i, (shocks_, expected) in enumerate(
        [
            ('"spot:*" = 0.1, "spot:BTC" = 0.2', {"spot:BTC": 0.2, "spot:EUX": 0.1}),
            ('"spot:BTC" = 0.2, "spot:*" = 0.1', {"spot:BTC": 0.1, "spot:EUX": 0.1}),
            ('"*" = 0.3, "iv:BTC:30d" = 0.0', {"spot:BTC": 0.3, "spot:EUX": 0.3, "fx:EUR": 0.3}),
            ('"spot:EU?" = 0.3', {"spot:EUX": 0.3}),
        ]
    ):
        found, _, _, factors, _ = made(tmp_path / str(i), config(shocks_, top="[fhs]\nlookback = 20"))
        np.testing.assert_allclose(np.expm1(found.shock[0]), [expected.get(name, 0.0) for name in factors.names])


def test_rates_and_normal_underlyings_take_differences(tmp_path):
    underlying = "underlying,currency,spot,dynamics\nBTC,USD,95000,lognormal\nEUX,EUR,100,normal\n"
    text = config('"spot:*" = -0.25, "rate:*" = 0.01')
    found, _, _, factors, _ = made(tmp_path, text, underlyings__csv=underlying)
    # A spot of a currency without options or futures discounts nothing, so that EUR has no rate.
    assert factors.names == ("fx:EUR", "iv:BTC:30d", "rate:USD:1y", "spot:BTC", "spot:EUX")
    np.testing.assert_allclose(found.shock, [[0.0, 0.0, 0.01, math.log(0.75), -0.25]])


def test_changes_by_hand():
    levels = np.array([[100.0, 1.0], [110.0, 3.0], [99.0, 2.0], [198.0, -2.0]])
    additive = np.array([False, True])
    np.testing.assert_allclose(changes(levels, 1, additive, "simple"), [[0.1, 2.0], [-0.1, -1.0], [1.0, -4.0]])
    np.testing.assert_allclose(changes(levels, 2, additive, "simple"), [[-0.01, 1.0], [0.8, -5.0]])
    np.testing.assert_allclose(changes(levels, 3, additive, "log"), [[math.log(1.98), -3.0]])


@pytest.mark.parametrize(("h", "first"), [(1, 14), (3, 16), (5, 18)])
@pytest.mark.parametrize("returns", ["log", "simple"])
def test_periods_are_history_as_it_was(tmp_path, h, first, returns):
    top = f'holding_period_days = {h}\nreturns = "{returns}"'
    text = f'{TOP}{top}\n[stress]\nperiod = [[2025-12-28, "2025-12-30"], [2025-12-14, 2025-12-18]]\n'
    text = text.replace('[2025-12-28, "2025-12-30"], ', "") if h > 3 else text
    found, book, _, factors, _ = made(tmp_path, text)
    days = [*range(27 + h, 31), *range(first, 19)] if h <= 3 else list(range(first, 19))
    assert found.name == [f"period:2025-12-{day}" for day in days]
    level = book.history.level[:, factors.column]  # row 0 is 2025-12-10
    ratio = np.array([level[day - 10] / level[day - 10 - h] for day in days])
    np.testing.assert_allclose(found.shock, np.log(ratio) if returns == "log" else ratio - 1.0, rtol=1e-12, atol=1e-15)


def test_a_period_ends_at_as_of_and_includes_its_last_day(tmp_path):
    history = "date,spot:BTC,spot:EUX,iv:BTC:30d,fx:EUR\n" + "".join(
        f"2025-12-{day}T16:00:00Z,{100 + day},{day},{0.5 + day / 100},1.{day}\n" for day in range(10, 32)
    )
    period = "[stress]\nperiod = [[2025-12-20, 2025-12-22], [2025-12-30, 2026-06-30]]\n"
    found, *_ = made(tmp_path, TOP + period, history__csv=history)
    assert found.name == [f"period:2025-12-{day}T16:00:00Z" for day in (20, 21, 22, 30, 31)]


def test_written_scenarios_stand_before_those_of_the_periods(tmp_path):
    text = f"{TOP}[stress]\nperiod = [[2025-12-20, 2025-12-21]]\n{CRASH}"
    found, *_ = made(tmp_path, text)
    assert found.name == ["crash", "period:2025-12-20", "period:2025-12-21"]
    np.testing.assert_allclose(found.shock[0], [0.0, 0.0, math.log(0.7), math.log(0.7)])


NO_HISTORY = {"history__csv": None}


def test_a_book_needs_no_history_for_written_scenarios(tmp_path):
    text = config('"spot:*" = -0.3, "iv:BTC:7d" = 1.0, "iv:BTC:180d" = 0.2')
    found, _, _, factors, findings = made(tmp_path, text, **NO_HISTORY)
    assert factors.names == ("fx:EUR", "iv:BTC:180d", "iv:BTC:7d", "rate:USD:1y", "spot:BTC", "spot:EUX")
    np.testing.assert_allclose(np.expm1(found.shock[0]), [0.0, 0.2, 1.0, 0.0, -0.3, -0.3], atol=1e-15)
    assert factors.iv[0].factor.tolist() == [2, 1]
    assert not [note for note in findings.notes if "history" in note]


def test_without_a_history_a_run_is_its_stress(tmp_path):
    text = config('"spot:*" = -0.3', top="[core]\n").replace("[core]\n\n", "")
    text += '[[stress.scenario]]\nname = "rally"\nshocks = { "spot:*" = 0.4, "fx:EUR" = 0.1 }\n'
    positions = "account,instrument,quantity\nlong,EUX-S,3\nshort,EUX-S,-2\n"
    book = write(tmp_path / "book", margin__toml=text, positions__csv=positions, **NO_HISTORY)
    found = requirement(*load(book)[:3])
    rows = {row["account"]: row for row in found.tables["margin"].to_pylist()}
    assert rows["long"]["stress"] == pytest.approx(3 * 100 * 1.1 * 0.3)
    assert rows["short"]["stress"] == pytest.approx(2 * 100 * 1.1 * (1.4 * 1.1 - 1.0))
    for name, scenario in (("long", "crash"), ("short", "rally")):
        row = rows[name]
        assert (row["core"], row["core_model"]) == (row["stress"], "stress")
        assert row["worst_scenario"] == f"stress:{scenario}"
        assert row["fhs_es"] is None
        assert row["margin"] == pytest.approx(row["core"] + row["liquidity"] + row["concentration"])
    assert main(["run", str(book), "--quiet", "--pnl"]) == 0


def test_what_is_waived_is_not_shocked_without_a_history_either(tmp_path):
    text = config('"*" = 0.1', top='allow_unshocked = ["iv:BTC", "fx:EUR"]')
    _, _, _, factors, findings = made(tmp_path, text, **NO_HISTORY)
    assert factors.names == ("rate:USD:1y", "spot:BTC", "spot:EUX")
    assert "not shocked, as allow_unshocked accepts: iv:BTC, fx:EUR (missing from history)" in findings.notes


def test_an_option_under_stress_is_blacks(tmp_path):
    """95,000 falls by 30 % and volatility rises by half; 100,000 is then beyond the surface's last node, at 50 %."""
    text = config('"spot:*" = -0.3, "iv:*" = 0.5, "rate:*" = 0.02')
    positions = "account,instrument,quantity\nlong,BTC-C,1\n"
    book = write(tmp_path / "book", margin__toml=text, positions__csv=positions, **NO_HISTORY)
    found = requirement(*load(book)[:3]).pnl["stress"][0, 0]
    years = (176 + 8 / 24) / 365
    node = np.log(np.array([90_000, 110_000]) / 95_000)
    today = np.interp(math.log(100 / 95), node, [0.55, 0.5])

    def black(spot, sigma, rate):
        forward, deviation = spot * math.exp(rate * years), sigma * math.sqrt(years)
        d = math.log(forward / 100_000) / deviation + deviation / 2
        return math.exp(-rate * years) * (forward * norm.cdf(d) - 100_000 * norm.cdf(d - deviation))

    assert found == pytest.approx(black(66_500, 0.75, 0.02) - black(95_000, today, 0.0), rel=1e-9)


def test_a_history_that_is_there_names_the_factors(tmp_path):
    _, _, _, factors, _ = made(tmp_path, TOP + CRASH)
    assert factors.names == ("fx:EUR", "iv:BTC:30d", "rate:USD:1y", "spot:BTC", "spot:EUX")


def test_a_period_needs_the_history(tmp_path, capsys):
    text = TOP + "[stress]\nperiod = [[2025-12-20, 2025-12-21]]\n"
    assert main(["validate", str(write(tmp_path / "book", margin__toml=text, **NO_HISTORY))]) == 2
    assert "history" in capsys.readouterr().err.splitlines()[0]


BLEND = '[core]\ncombine = "blend"\nstress_weight = {}\n'


@pytest.mark.parametrize("weight", [0, 0.25, 1])
def test_a_blend_is_the_weighted_sum_of_its_parts(tmp_path, weight):
    def margin(name, blend):
        text = TOP + "[fhs]\nlookback = 20\n[monte_carlo]\npaths = 200\n" + blend + CRASH
        return requirement(*load(write(tmp_path / name, margin__toml=text))[:3])

    base, found = margin("max", ""), margin("blend", BLEND.format(weight))
    for before, after in zip(base.tables["margin"].to_pylist(), found.tables["margin"].to_pylist(), strict=True):
        expected = (1 - weight) * max(before["fhs_es"], before["mc_es"]) + weight * before["stress"]
        assert before["core"] == max(before["fhs_es"], before["mc_es"], before["stress"])
        # Both accounts lose in the crash, so that no floor comes between.
        assert min(before["stress"], before["fhs_es"]) >= 0
        if before["stress"] > 0:
            assert after["core"] == pytest.approx(expected)
        assert after["core_model"] == "blend"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stress]", "key stress: no scenario; expected one or more tables [[stress.scenario]], or period"),
        (BLEND.format(0.5) + "[fhs]\nlookback = 20", "key core.combine: 'blend' needs the model [stress]"),
        (BLEND.format(1.01) + CRASH, "key core.stress_weight: 1.01 is out of range; expected a number from 0 to 1"),
        (BLEND.format(-0.01) + CRASH, "key core.stress_weight: -0.01 is out of range; expected a number from 0 to 1"),
        (CRASH + CRASH, "key stress.scenario.name: 'crash' is given more than once; expected names that differ"),
        (CRASH.replace("crash", "period:x"), "key stress.scenario.name: 'period:x' is not accepted; expected a name"),
        (CRASH.replace("crash", ""), "key stress.scenario.name: '' is not accepted; expected a name"),
        (CRASH.replace('name = "crash"\n', ""), "key stress.scenario.name: missing; expected a name"),
        (CRASH.replace('shocks = { "spot:*" = -0.3 }', ""), "key stress.scenario.shocks: missing; expected a table"),
        (CRASH + "shock = 1\n", "key stress.scenario.shock: unknown key; the nearest known one is 'shocks'"),
        (CRASH.replace("-0.3", "inf"), "key stress.scenario.shocks.spot:*: inf is not accepted"),
        (CRASH.replace("-0.3", '"-30%"'), "key stress.scenario.shocks.spot:*: '-30%' is of the wrong type"),
        (CRASH.replace("spot:*", "spt:*"), "key stress.scenario.shocks.spt:*: no factor's name; the nearest kind of"),
        (
            CRASH.replace("spot:*", "iv:BCT:*"),
            "key stress.scenario.shocks: 'iv:BCT:*' of 'crash' is no factor; the nearest is 'iv:BTC:30d'",
        ),
        (CRASH.replace("spot:*", "spot:EUXX"), "'spot:EUXX' of 'crash' is no factor; the nearest is 'spot:EUX'"),
        (
            CRASH.replace("-0.3", "-1"),
            "'spot:*' of 'crash': -1 leaves nothing of spot:BTC; expected a relative change > -1",
        ),
        ("[stress]\nperiod = [[2025-12-21, 2025-12-20]]", "key stress.period: 2025-12-21 is after 2025-12-20"),
        (
            "[stress]\nperiod = [[2025-12-20, 2025-12-22], [2025-12-22, 2025-12-25]]",
            "key stress.period: 2025-12-22 is in two periods; expected periods that do not overlap",
        ),
        ('[stress]\nperiod = [["yesterday", "2025-12-20"]]', "key stress.period: 'yesterday' is not accepted"),
        ("[stress]\nperiod = [[2025-12-20]]", "key stress.period: "),
        (
            "[stress]\nperiod = [[2019-12-20, 2019-12-25]]",
            "key stress.period: 2019-12-20 to 2019-12-25 has 0 returns up to as_of in history; expected "
            "holding_period_days = 1 or more",
        ),
        (
            "[stress]\nmax_gap_days = 0\nperiod = [[2025-12-20, 2025-12-22]]",
            "key stress.max_gap_days: 0 is out of range",
        ),
    ],
)
def test_is_found(tmp_path, capsys, text, said):
    assert main(["validate", str(write(tmp_path / "book", margin__toml=TOP + text + "\n"))]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert said in lines[0]
    assert lines[1:] == ["1 error in 1 table; nothing was written"]


@pytest.mark.parametrize(
    "text",
    [
        CRASH.replace("-0.3", "-0.999999"),
        CRASH.replace("-0.3", "1e9"),
        CRASH.replace("-0.3", "0"),
        CRASH.replace('{ "spot:*" = -0.3 }', "{}"),
        BLEND.format(0) + "[fhs]\nlookback = 20\n" + CRASH,
        BLEND.format(1) + "[monte_carlo]\nlookback = 20\n" + CRASH,
        "[stress]\nmax_gap_days = 1\nperiod = [[2025-12-20, 2025-12-20]]",
        CRASH.replace('{ "spot:*" = -0.3 }', '{ "rate:*" = 0.01, "forward:*" = 0.1, "spot:*" = -0.1 }'),
    ],
)
def test_is_accepted(tmp_path, text):
    assert main(["validate", str(write(tmp_path / "book", margin__toml=TOP + text + "\n")), "--quiet"]) == 0


def test_the_levels_of_a_period_are_checked(tmp_path, capsys):
    text = TOP + "[fhs]\nlookback = 5\n[stress]\nmax_gap_days = 2\nperiod = [[2025-12-12, 2025-12-20]]\n"
    book = write(tmp_path / "book", margin__toml=text)
    rows = (book / "history.csv").read_text().splitlines()
    rows[2] = "2025-12-11,,100,0.5,1.1"  # the level before the period's first return
    rows[4] = "2025-12-13,95000,-1,0.5,1.1"
    rows[1] = "2025-12-10,,100,0.5,1.1"  # not used
    del rows[6:9]
    (book / "history.csv").write_text("\n".join(rows) + "\n")
    assert main(["validate", str(book)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error")] == [
        "error: history.csv line 7, column date: 2025-12-18 is 4 days after 2025-12-14, the used date before it; "
        "expected at most max_gap_days = 2",
        "error: history.csv line 3, column spot:BTC: null inside a stress period; expected a level on each of its "
        "dates, and on the one before them",
        "error: history.csv line 5, column spot:EUX: -1 is not positive inside a stress period; log returns need "
        "positive levels",
    ]


def test_what_does_not_move_is_noted(tmp_path):
    history = "date,spot:BTC,spot:EUX,iv:BTC:30d,fx:EUR,forward:BTC:90d\n" + "".join(
        f"2025-12-{day},{100 + day},{7 if day < 20 else day},{0.5 + day / 100},1.1,{100 + 2 * day}\n"
        for day in range(10, 32)
    )
    text = TOP + "[stress]\nperiod = [[2025-12-12, 2025-12-15]]\n" + CRASH
    *_, findings = made(tmp_path, text, history__csv=history)
    assert "history.csv: constant over a stress period, and not shocked there: fx:EUR, spot:EUX" in findings.notes
    assert (
        "stress scenario 'crash' moves a spot and not its forward: factors, so that forwards stay where they are: "
        "forward:BTC" in findings.notes
    )


def test_a_shock_of_what_is_not_held_is_noted(tmp_path):
    text = TOP + CRASH.replace("{ ", '{ "rate:EUR:5y" = 0.01, "iv:EUX:*" = 0.5, ')
    *_, findings = made(tmp_path, text)
    assert "margin.toml: shocks of [stress] that concern nothing that is held: rate:EUR:5y, iv:EUX:*" in findings.notes


def test_a_fall_below_the_floor_of_simple_returns_is_counted(tmp_path):
    text = config('"spot:*" = -0.995', top='returns = "simple"')
    assert made(tmp_path, text)[0].floored == 2


def test_stress_stands_beside_the_other_models(tmp_path):
    book = write_book(tmp_path / "book")
    (book / "margin.toml").write_text(
        'as_of = 2026-01-05T00:00:00Z\nbase_currency = "USD"\n[fhs]\nlookback = 50\n[[stress.scenario]]\n'
        'name = "calm"\nshocks = {}\n[[stress.scenario]]\nname = "spike"\nshocks = { "iv:*" = 4.0 }\n'
    )
    rows = requirement(*load(book)[:3]).tables["margin"].to_pylist()
    assert {row["core_model"] for row in rows} == {"fhs", "stress", None}
    for row in rows:
        assert row["core"] == max(row["fhs_es"], row["stress"])
        if row["core_model"] == "stress":
            assert row["worst_scenario"] == "stress:spike"
