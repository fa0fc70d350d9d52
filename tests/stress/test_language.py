"""The scenario language: what patterns, units, steps, mirrors, betas and proxies make of a book's factors."""

import math
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables.base import write

from gpu_var.market.checks import load
from gpu_var.market.moves import Meant
from gpu_var.market.state import shocks, underlyings
from gpu_var.scenarios.language import ORIGINS, scenario_rows, stress_scenarios
from gpu_var.tables.config_stress_test import StressFile
from gpu_var.tables.findings import InputError

TOP = 'as_of = 2026-01-01T00:00:00Z\nbase_currency = "USD"\n'
FHS = "[fhs]\nlookback = 20\n"
PLAIN = TOP + "[[stress.scenario]]\nname = 'x'\nshocks = {}\n"
"""No history is read: the factors are fx:EUR, iv:BTC:30d, rate:USD:1y, spot:BTC, spot:EUX."""

NORMAL = "underlying,currency,spot,dynamics\nBTC,USD,95000,lognormal\nEUX,EUR,100,normal\n"


def crash(shocks_, name="crash", **keys):
    return {"name": name, "shocks": shocks_, **keys}


def made(folder, *scenarios, config=PLAIN, tables=None, **keys):
    """The scenarios of a file on the small book, and what they were made of."""
    book, parsed, factors, _ = load(write(folder / "book", margin__toml=config, **(tables or {})))
    file = StressFile.model_validate({"scenario": scenarios, **keys})
    return stress_scenarios(file, book, parsed, factors), book, parsed, factors


def errors(folder, *scenarios, **keys):
    with pytest.raises(InputError) as caught:
        made(folder, *scenarios, **keys)
    return caught.value.findings.errors


def origins(scenarios, row=0):
    return [ORIGINS[code] for code in scenarios.origin[row]]


@pytest.mark.parametrize("returns", ["log", "simple"])
def test_growth_is_exactly_what_is_written(tmp_path, returns):
    text = PLAIN.replace("[[", f'returns = "{returns}"\n[[', 1)
    found, book, config, factors = made(
        tmp_path, crash({"spot:*": -0.3, "iv:*:30d": "+60%", "fx:EUR": "-10%", "rate:*": "+50bp"}), config=text
    )
    assert (found.set.model, found.set.name, found.set.samples) == ("stress.test", ["crash"], 1)
    for part in underlyings(book, config, np.flatnonzero(book.held)):
        state = shocks(book, config, factors, part, found.set.shock)
        for m, rate in enumerate(part.market.today.rate):
            levels = state.at(m)
            np.testing.assert_allclose(levels.spot, 0.7 * part.spot, rtol=1e-14)
            np.testing.assert_allclose(levels.fx, part.fx * (0.9 if part.position == 1 else 1.0), rtol=1e-14)
            if part.market.today.years[m] > 0:
                np.testing.assert_allclose(levels.vol_growth, 1.6, rtol=1e-14)
            if part.position == 0:
                np.testing.assert_allclose(levels.rate, rate + 0.005, rtol=1e-14)
    assert origins(found) == ["named"] * 5


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"spot:*": 0.1, "spot:BTC": 0.2}, {"spot:BTC": 0.2, "spot:EUX": 0.1}),
        ({"spot:BTC": 0.2, "spot:*": 0.1}, {"spot:BTC": 0.1, "spot:EUX": 0.1}),
        ({"*": 0.3, "iv:BTC:30d": 0.0}, {"spot:BTC": 0.3, "spot:EUX": 0.3, "fx:EUR": 0.3, "iv:BTC:30d": 0.0}),
        ({"spot:EU?": 0.3}, {"spot:EUX": 0.3}),
        ({"spot:[AB]*": 0.3}, {"spot:BTC": 0.3}),
        ({}, {}),
    ],
)
def test_the_last_pattern_that_a_factor_matches_counts(tmp_path, written, expected):
    found, _, _, factors = made(tmp_path, crash(written), config=TOP + FHS)
    np.testing.assert_allclose(np.expm1(found.set.shock[0]), [expected.get(name, 0.0) for name in factors.names])
    assert origins(found) == ["named" if name in expected else "unmoved" for name in factors.names]


def test_normal_underlyings_take_differences(tmp_path):
    found, *_ = made(tmp_path, crash({"spot:*": -0.25}), config=TOP + FHS, tables={"underlyings__csv": NORMAL})
    np.testing.assert_allclose(found.set.shock[0, 2:], [math.log(0.75), -0.25])


def test_the_steps_of_a_sequence_compound(tmp_path):
    """Down 10 %, then volatility up by half, then down 20 % more: 0.9, 0.9, 0.72. Rates: 50 bp, 50 bp, 150 bp."""
    steps = [
        {"shocks": {"spot:*": -0.1, "rate:*": "50bp"}},
        {"shocks": {"iv:*": "50%"}},
        {"shocks": {"spot:*": -0.2, "rate:*": 0.01}},
    ]
    found, *_ = made(tmp_path, {"name": "path", "step": steps, "spreads": 3.0, "adv": 0.5}, crash({}, "other"))
    assert found.set.name == ["path/1", "path/2", "path/3", "other"]
    assert found.of == ("path",) * 3 + ("other",)
    assert found.step.tolist() == [1, 2, 3, 1]
    assert found.source == (*(f"scenarios.toml, step {i} of 3" for i in (1, 2, 3)), "scenarios.toml")
    assert found.family == ("written",) * 4
    assert found.spreads.tolist() == [3.0, 3.0, 3.0, 1.0]
    assert found.adv.tolist() == [0.5, 0.5, 0.5, 1.0]
    growth = np.array([[0.0, 0.0, 0.005, 0.9, 0.9], [0.0, 1.5, 0.005, 0.9, 0.9], [0.0, 1.5, 0.015, 0.72, 0.72]])
    expected = np.where(growth > 0.1, np.log(np.maximum(growth, 0.1)), growth)
    np.testing.assert_allclose(found.set.shock[:3], expected, rtol=1e-14, atol=1e-16)
    assert [origins(found, i)[1] for i in range(3)] == ["unmoved", "named", "named"]


def test_a_mirror_turns_log_moves_and_differences(tmp_path):
    """−30 % becomes 1/0.7 − 1 = +42.857 %, +50 bp becomes −50 bp."""
    steps = {"name": "path", "step": [{"shocks": {"spot:*": -0.3}}, {"shocks": {"rate:*": 0.005}}], "mirror": True}
    found, _, _, factors = made(tmp_path, crash({"spot:*": 1.0}), steps)
    names = ["crash", "path/1", "path/2", "path (mirror)/1", "path (mirror)/2"]
    assert found.set.name == names
    assert found.of[3:] == ("path (mirror)",) * 2
    assert found.step.tolist() == [1, 1, 2, 1, 2]
    assert found.source[3] == "mirror of path/1"
    np.testing.assert_array_equal(found.set.shock[3:], -found.set.shock[1:3])
    np.testing.assert_array_equal(found.origin[3:], found.origin[1:3])
    rows = scenario_rows(found, factors).to_pylist()
    last = {row["factor"]: row["shock"] for row in rows if row["scenario"] == "path (mirror)/2"}
    assert last["spot:BTC"] == pytest.approx(1 / 0.7 - 1)
    assert last["rate:USD:1y"] == pytest.approx(-0.005)


def test_mirrors_are_of_all_or_of_some(tmp_path):
    three = [crash({"*": 0.1}, "a"), crash({"*": 0.1}, "b", mirror=False), crash({"*": 0.1}, "c", mirror=True)]
    assert made(tmp_path / "1", *three)[0].set.name == ["a", "b", "c", "c (mirror)"]
    assert made(tmp_path / "2", *three, mirrors=True)[0].set.name == ["a", "b", "c", "a (mirror)", "c (mirror)"]


def test_a_fall_to_nearly_nothing_under_simple_returns_is_floored(tmp_path):
    text = PLAIN.replace("[[", 'returns = "simple"\n[[', 1)
    found, *_ = made(tmp_path, crash({"spot:*": -0.995}), config=text)
    assert found.set.floored == 2


BETAS = {"spot:EUX": {"spot:BTC": 1.2}, "iv:*": {"spot:BTC": -2.0, "spot:EUX": 0.5}, "rate:*": {"spot:BTC": 0.01}}


def test_betas_are_of_logarithmic_moves(tmp_path):
    """BTC × 0.7: EUX × 0.7^1.2; volatility × 0.7^−2, for EUX itself is not named; the rate by 0.01·ln 0.7."""
    scenarios = [crash({"spot:BTC": -0.3}), crash({"spot:*": -0.3}, "both"), crash({"fx:EUR": 0.1}, "none")]
    found, *_ = made(tmp_path, *scenarios, betas=BETAS, fill="beta")
    x = math.log(0.7)
    np.testing.assert_allclose(found.set.shock[0], [0.0, -2.0 * x, 0.01 * x, x, 1.2 * x])
    assert origins(found) == ["unmoved", "beta", "beta", "named", "beta"]
    np.testing.assert_allclose(found.set.shock[1], [0.0, -1.5 * x, 0.01 * x, x, x])
    assert origins(found, 1) == ["unmoved", "beta", "beta", "named", "named"]
    np.testing.assert_allclose(found.set.shock[2], [math.log(1.1), 0.0, 0.0, 0.0, 0.0])


def test_betas_only_where_they_are_asked_for(tmp_path):
    scenarios = [crash({"spot:BTC": -0.3}, "a"), crash({"spot:BTC": -0.3}, "b", fill="beta")]
    found, *_ = made(tmp_path, *scenarios, betas=BETAS)
    assert origins(found, 0).count("beta") == 0
    assert origins(found, 1).count("beta") == 3


def test_the_last_pattern_of_the_betas_counts(tmp_path):
    betas = {"*": {"spot:BTC": 1.0}, "iv:*": {"spot:BTC": -1.0}}
    found, *_ = made(tmp_path, crash({"spot:BTC": -0.3}), betas=betas, fill="beta")
    x = math.log(0.7)
    np.testing.assert_allclose(found.set.shock[0], [x, -x, x, x, x])


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (
            crash({"spot:BCT": -0.3}),
            "key scenario.shocks: 'spot:BCT' of 'crash' is no factor; the nearest is 'spot:BTC'",
        ),
        (crash({"iv:BCT:*": 0.3}), "'iv:BCT:*' of 'crash' is no factor; the nearest is 'iv:BTC:1y'; expected a factor"),
        (
            crash({"spot:*": -1}),
            "'spot:*' of 'crash': -1 leaves nothing of spot:BTC; expected a relative change > -1",
        ),
        (crash({"*": "-100%"}), "'*' of 'crash': rate:USD:1y takes a difference; expected a number, or text with bp"),
        (crash({"iv:*": "-250%"}), "'iv:*' of 'crash': -2.5 leaves nothing of iv:BTC:1y"),
        (crash({"rate:*": "1%"}), "'rate:*' of 'crash': rate:USD:1y takes a difference; expected a number, or text"),
        (crash({"spot:*": "50bp"}), "'spot:*' of 'crash': spot:BTC takes a relative change; expected a number, or"),
        (
            {"name": "path", "step": [{"shocks": {}}, {"shocks": {"spot:X": 1}}]},
            "scenarios.toml, key scenario.step.shocks: 'spot:X' of 'path' is no factor",
        ),
    ],
)
def test_what_cannot_be_meant_is_found(tmp_path, scenario, said):
    found = errors(tmp_path, scenario, tables={"history__csv": None})
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"betas": {"spot:X": {"spot:BTC": 1.0}}}, "key betas: 'spot:X' is no factor; the nearest is 'spot:"),
        (
            {"betas": {"spot:EUX": {"spot:BCT": 1.0}}},
            "key betas: 'spot:BCT' of 'spot:EUX' is no factor; the nearest is",
        ),
        ({"betas": {"spot:EUX": {"spot:*": 1.0}}}, "key betas: 'spot:*' of 'spot:EUX' is a pattern; expected the name"),
        (
            {"library": ["histroy:*"]},
            "key library: 'histroy:*' is no scenario of the library; the nearest is 'history:",
        ),
        ({"library": ["grid:*"], "proxies": {"spot:X": "SPX"}}, "key proxies: 'spot:X' is no factor; the nearest is"),
        (
            {"library": ["grid:*"], "proxies": {"spot:*": "SPQ"}},
            "key proxies: 'SPQ' of 'spot:*' is no factor of the library; the nearest is 'SPX'; known are SPX, NDX_COMP",
        ),
        ({"library": ["grid:*"], "proxies": {"rate:*": "SPX"}}, "'rate:*': 'SPX' cannot stand for rate:USD:1y; exp"),
        ({"library": ["grid:*"], "proxies": {"iv:*": "UST10Y"}}, "'UST10Y' cannot stand for iv:BTC:1y; expected a fac"),
        ({"library": ["grid:*"], "proxies": {"iv:*": "WTI_USD"}}, "'WTI_USD' of 'iv:*' is no factor of the library"),
        (
            {"library": ["history:ftx-2022", "grid:*"], "fill": "correlation"},
            "key fill: 'correlation' needs the history",
        ),
    ],
)
def test_what_is_wrong_with_the_rest(tmp_path, keys, said):
    keys = {"fill": "beta", **keys} if "betas" in keys else keys
    found = errors(tmp_path, crash({"spot:BTC": -0.1}), tables={"history__csv": None}, **keys)
    assert len(found) == 1
    assert said in found[0]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    found = errors(tmp_path, crash({"spot:BCT": 1}), crash({"spot:*": -2}, "b"), library=["x"], fill="correlation")
    assert len(found) == 4


@pytest.mark.parametrize(
    ("scenarios", "keys", "name"),
    [
        ([{"name": "a", "step": [{"shocks": {}}]}, crash({}, "a/1")], {}, "a/1"),
        ([crash({}, "a", mirror=True), crash({}, "a (mirror)")], {}, "a (mirror)"),
        ([crash({}, "grid:spot-40:vol+100")], {"library": ["grid:*"]}, "grid:spot-40:vol+100"),
    ],
)
def test_names_differ_with_steps_mirrors_and_the_library(tmp_path, scenarios, keys, name):
    found = errors(tmp_path, *scenarios, **keys)
    assert len(found) == 1
    assert f"key scenario.name: '{name}' is the name of two scenarios" in found[0]


def test_what_is_not_held_is_noted(tmp_path):
    found, *_ = made(tmp_path, crash({"rate:EUR:5y": 0.01, "forward:*": 0.1, "spot:*": -0.1}))
    assert found.set.notes == ("scenarios.toml: patterns that concern nothing that is held: rate:EUR:5y, forward:*",)


def test_forwards_that_stay_are_noted(tmp_path):
    history = "date,spot:BTC,spot:EUX,iv:BTC:30d,fx:EUR,forward:BTC:90d\n" + "".join(
        f"2025-12-{day},{100 + day % 3},{day % 5 + 7},{0.5 + day % 4 / 100},1.{day},{100 + day % 2}\n"
        for day in range(10, 32)
    )
    found, *_ = made(
        tmp_path,
        crash({"spot:*": -0.1}, "a"),
        crash({"spot:*": -0.1, "forward:*": -0.1}, "b"),
        config=TOP + FHS,
        tables={"history__csv": history},
    )
    assert found.set.notes == (
        "scenarios.toml: scenarios move a spot and not its forward: factors, so that forwards stay unless they are "
        "filled: forward:BTC",
    )


def test_the_rows_say_everything(tmp_path):
    found, _, _, factors = made(
        tmp_path, crash({"spot:BTC": "-30%", "rate:*": 0.01}), library=["grid:spot-40:vol+0", "history:ftx-2022"]
    )
    table = scenario_rows(found, factors)
    assert table.column_names == [
        *("scenario", "sequence", "step", "family", "factor", "shock", "unit", "origin", "by", "source"),
    ]
    assert table.num_rows == 3 * len(factors.names)
    rows = {(row["scenario"], row["factor"]): row for row in table.to_pylist()}
    assert rows["crash", "spot:BTC"] == {
        "scenario": "crash",
        "sequence": "crash",
        "step": 1,
        "family": "written",
        "factor": "spot:BTC",
        "shock": pytest.approx(-0.3),
        "unit": "relative",
        "origin": "named",
        "by": None,
        "source": "scenarios.toml",
    }
    assert rows["crash", "rate:USD:1y"]["unit"] == "difference"
    assert rows["crash", "spot:EUX"]["origin"] == "unmoved"
    ftx = rows["history:ftx-2022", "spot:BTC"]
    assert (ftx["shock"], ftx["origin"], ftx["by"]) == (pytest.approx(-0.159593), "proxy", "BTC")
    assert ftx["source"] == "Fall of FTX: closes of the first and of the last day, 2022-11-04 to 2022-11-10"
    grid = rows["grid:spot-40:vol+0", "spot:EUX"]
    assert (grid["shock"], grid["origin"], grid["by"]) == (pytest.approx(-0.4), "named", None)
    assert {row["by"] for row in rows.values()} == {None, "BTC", "EURUSD", "UST10Y"}


NAMES = ("spot:BTC", "spot:B*", "iv:BTC:30d", "iv:ETH:30d", "fx:[E]", "fx:E", "rate:USD:1y")


@given(st.text("spotivxBTC*?[]!:30dE", max_size=9) | st.sampled_from([*NAMES, "spot:?*", "iv:*:30d", "fx:[!A]", "*"]))
def test_patterns_mean_what_a_shell_means(pattern):
    """A factor's own name always means it, whatever characters it has."""
    expected = [name == pattern or fnmatchcase(name, pattern) for name in NAMES]
    assert Meant(NAMES).at(pattern).tolist() == expected


SIZES = st.floats(-0.9, 5.0)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return load(write(tmp_path_factory.mktemp("small") / "book", margin__toml=PLAIN))[:3]


@given(first=SIZES, second=SIZES)
def test_steps_compound_as_one_move(small, first, second):
    steps = {"name": "s", "step": [{"shocks": {"spot:*": first}}, {"shocks": {"spot:*": second}}], "mirror": True}
    whole = crash({"spot:*": (1 + first) * (1 + second) - 1}, "whole")
    found = stress_scenarios(StressFile.model_validate({"scenario": [steps, whole]}), *small)
    shock = dict(zip(found.set.name, found.set.shock, strict=True))
    np.testing.assert_allclose(shock["s/2"], shock["whole"], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(shock["s (mirror)/2"], -shock["s/2"])
