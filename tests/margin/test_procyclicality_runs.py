"""[antiprocyclicality] in a run, and a constant book through history, where the margin is known in closed form."""

import numpy as np
import pytest
from margin import cycle_books
from margin.cycle_books import HELD, deviation, filtered, margin, returns

import gpu_var as gv
from gpu_var.demo import eth
from gpu_var.margin.constant_book import margin_path, path_rows, usual_every
from gpu_var.margin.cyclicality_metrics import peak_to_trough
from gpu_var.market.checks import load

PRICES = cycle_books.levels(90)
PRICES[-6:] = [PRICES[-7] * factor for factor in (1.06, 0.98, 1.07, 0.97, 1.05, 0.96)]  # it ends in stress
STRESS_TOML = '[stress]\n[[stress.scenario]]\nname = "crash"\nshocks = { "spot:*" = -0.3 }\n'


def moves(upto: int, target: float | None = None, lookback: int = 30) -> list[float]:
    """The moves of the scenarios whose look-back is the last of `upto` rows, at the forecast or another volatility."""
    sample = returns(PRICES[:upto])[-lookback:]
    volatility, forecast = filtered(sample, 0.9)
    return [r * (forecast if target is None else target) / s for r, s in zip(sample, volatility, strict=True)]


def long_run(upto: int, lookback: int) -> float:
    return deviation(returns(PRICES[:upto])[-lookback:])


def expected(account: str, upto: int, lookback: int = 2500) -> tuple[float, float]:
    """(calculated margin, margin at the long-run volatility)."""
    return margin(account, moves(upto)), margin(account, moves(upto, long_run(upto, lookback)))


def run(folder, *, prices=PRICES, **config):
    path = cycle_books.book(folder, prices=prices, **config)
    loaded = gv.Config.load(path / "margin.toml")
    found = gv.run(gv.read_book(path), loaded, backend="cpu")
    return {row["account"]: row for row in found.margin.to_pylist()}, found


def test_without_the_table_there_is_no_column(tmp_path):
    rows, _ = run(tmp_path / "book")
    assert "procyclicality" not in rows["long"]
    assert rows["long"]["margin"] == pytest.approx(expected("long", 90)[0], rel=1e-12)


def test_a_floor_is_the_margin_from_the_volatility_of_the_long_look_back(tmp_path):
    calm = [*PRICES[:-6], *[PRICES[-7] * (1 + 0.002 * (-1) ** i) for i in range(6)]]
    table = {"option": "floor", "lookback": 60}
    rows, found = run(tmp_path / "book", prices=calm, antiprocyclicality=table)
    sample = returns(calm)[-30:]
    volatility, forecast = filtered(sample, 0.9)
    target = deviation(returns(calm)[-60:])
    assert target > forecast
    for name in HELD:
        floor = margin(name, [r * target / s for r, s in zip(sample, volatility, strict=True)])
        assert rows[name]["margin"] == pytest.approx(floor, rel=1e-12)
        assert rows[name]["procyclicality"] == pytest.approx(floor - rows[name]["core"], rel=1e-9, abs=1e-9)
    assert not [note for note in found.notes if "antiprocyclicality" in note]
    assert sorted(found.pnl) == ["fhs"]


def test_a_floor_under_the_margin_of_today_adds_nothing(tmp_path):
    rows, found = run(tmp_path / "book", antiprocyclicality={"option": "floor"})
    for name in HELD:
        calculated, at_long_run = expected(name, 90)
        assert calculated >= at_long_run
        assert rows[name]["procyclicality"] == 0.0
        assert rows[name]["margin"] == pytest.approx(calculated, rel=1e-12)
    note = next(note for note in found.notes if "antiprocyclicality" in note)
    assert note.endswith("2,500 returns, is estimated from the 89 that there are of spot:X")


def test_a_floor_under_monte_carlo_is_in_proportion_to_volatility(tmp_path):
    calm = [*PRICES[:-6], *[PRICES[-7] * (1 + 0.002 * (-1) ** i) for i in range(6)]]
    carlo = {"lookback": 30, "decay": 0.9, "paths": 200}
    rows, found = run(
        tmp_path / "book", prices=calm, fhs=None, monte_carlo=carlo, antiprocyclicality={"option": "floor"}
    )
    ratio = deviation(returns(calm)) / filtered(returns(calm)[-30:], 0.9)[1]
    assert ratio > 1.1
    for name in ("long", "short"):
        assert rows[name]["margin"] == pytest.approx(ratio * rows[name]["core"], rel=1e-12)
    assert found.counts["scenarios_monte_carlo.long_run"] == 200


def test_a_buffer_is_drawn_down_with_the_ratio_to_the_long_run_margin(tmp_path):
    table = {"option": "buffer", "buffer": 0.3, "run_down_start": 0.5, "run_down_end": 5.0}
    rows, _ = run(tmp_path / "book", antiprocyclicality=table)
    for name in ("long", "short"):
        calculated, at_long_run = expected(name, 90)
        ratio = calculated / at_long_run
        assert 0.5 < ratio < 5.0
        wanted = calculated * (1 + 0.3 * (5.0 - ratio) / 4.5)
        assert rows[name]["margin"] == pytest.approx(wanted, rel=1e-12)
        assert rows[name]["procyclicality"] == pytest.approx(wanted - calculated, rel=1e-9)
    assert rows["flat"]["margin"] == 0.0


def test_stressed_observations_have_their_weight(tmp_path):
    table = {"option": "stressed", "stressed_weight": 0.4}
    rows, _ = run(tmp_path / "book", toml=STRESS_TOML, antiprocyclicality=table)
    crash = 8.0 * 2.0 * cycle_books.SPOT * 0.3
    calculated = expected("long", 90)[0]
    assert rows["long"]["core"] == pytest.approx(crash)
    assert rows["long"]["margin"] == pytest.approx(0.6 * calculated + 0.4 * crash, rel=1e-12)
    assert rows["long"]["procyclicality"] < 0.0  # the weight stands in place of the larger of the two
    # The short account gains in a crash: its stress margin is none.
    assert rows["short"]["margin"] == pytest.approx(0.6 * expected("short", 90)[0], rel=1e-12)


@pytest.mark.parametrize("days", [1, 3])
def test_a_countercyclical_margin_starts_from_earlier_days_of_the_same_book(tmp_path, days):
    table = {"option": "countercyclical", "floor_share": 0.5, "max_daily_rise": 0.02, "previous_days": days}
    rows, found = run(tmp_path / "book", antiprocyclicality=table)
    assert any("the cap on the daily rise holds 2 margins under the calculated ones" in note for note in found.notes)
    for name in ("long", "short"):
        floor = 0.5 * expected(name, 90)[1]
        wanted = max(floor, expected(name, 90 - days)[0])
        for upto in range(91 - days, 91):
            wanted = max(floor, min(expected(name, upto)[0], 1.02 * wanted))
        assert rows[name]["margin"] == pytest.approx(wanted, rel=1e-12)
        assert rows[name]["procyclicality"] == pytest.approx(wanted - expected(name, 90)[0], rel=1e-9)
        assert rows[name]["procyclicality"] < 0.0


def test_a_short_history_leaves_out_the_cap_and_says_so(tmp_path):
    table = {"option": "countercyclical", "floor_share": 0.5, "max_daily_rise": 0.02}
    rows, found = run(tmp_path / "book", antiprocyclicality=table, fhs={"lookback": 89, "decay": 0.9})
    assert rows["long"]["procyclicality"] == 0.0
    assert any("history reaches back for 0 of previous_days = 1; no cap" in note for note in found.notes)


def path(folder, every=1, days=None, prices=PRICES, **config):
    book, loaded, factors, _ = load(cycle_books.book(folder, prices=prices, **config))
    return margin_path(book, loaded, factors, days=days, every=every), book


NAMES = sorted(HELD)  # accounts ascend by name


def test_every_method_on_every_date_in_closed_form(tmp_path):
    table = {"option": "buffer", "lookback": 50, "run_down_start": 0.8, "run_down_end": 3.0, "floor_share": 0.9}
    found, _ = path(tmp_path / "book", antiprocyclicality=table)
    assert len(found.date) == 60
    counter = dict.fromkeys(NAMES)
    for t, upto in enumerate(range(31, 91)):
        stressed_volatility = deviation(returns(PRICES[:upto])[-50:])  # fewer than a year's returns: all of them
        for a, name in enumerate(NAMES):
            calculated, at_long_run = expected(name, upto, 50)
            stressed = margin(name, moves(upto, stressed_volatility))
            ratio = calculated / at_long_run if at_long_run else 0.0
            left = 0.25 * min(1.0, max(0.0, (3.0 - ratio) / 2.2))
            floor = 0.9 * at_long_run
            before = counter[name]
            counter[name] = max(floor, calculated if before is None else min(calculated, 1.05 * before))
            wanted = {
                "calculated": calculated,
                "buffer": calculated * (1 + left),
                "stressed": 0.75 * calculated + 0.25 * stressed,
                "floor": max(calculated, at_long_run),
                "countercyclical": counter[name],
            }
            for method, amount in wanted.items():
                assert found.margin[method][t, a] == pytest.approx(amount, rel=1e-10, abs=1e-10), (method, t, name)
    for method, margins in found.margin.items():
        assert found.total[method] == pytest.approx(margins.sum(axis=1))


def test_every_fifth_date_is_the_same_and_compounds_the_cap(tmp_path):
    table = {"option": "countercyclical", "floor_share": 0.0}
    daily, _ = path(tmp_path / "daily", antiprocyclicality=table)
    fifth, _ = path(tmp_path / "fifth", every=5, antiprocyclicality=table)
    assert (fifth.date == daily.date[4::5]).all()
    for method in ("calculated", "buffer", "stressed", "floor"):
        assert fifth.margin[method] == pytest.approx(daily.margin[method][4::5], rel=1e-12)
    calculated, counter = fifth.margin["calculated"], fifth.margin["countercyclical"]
    steps = counter[1:, NAMES.index("long")] / counter[:-1, NAMES.index("long")]
    assert steps.max() == pytest.approx(1.05**5, rel=1e-12)
    assert (counter <= calculated).all()


def test_monte_carlo_is_proportional_to_the_forecast(tmp_path):
    # One factor, simple returns, the same draws on every date: the margin is a constant times σ_{T+1}.
    carlo = {"lookback": 30, "decay": 0.9, "paths": 200}
    found, _ = path(tmp_path / "book", fhs=None, monte_carlo=carlo)
    forecast = np.array([filtered(returns(PRICES[:upto])[-30:], 0.9)[1] for upto in range(31, 91)])
    for name in ("long", "short"):
        margins = found.margin["calculated"][:, NAMES.index(name)]
        assert margins / margins[0] == pytest.approx(forecast / forecast[0], rel=1e-10)


def test_the_last_date_is_the_run_of_today(tmp_path):
    config = {"monte_carlo": {"paths": 300}, "measure": "var"}
    rows, _ = run(tmp_path / "run", **config)
    found, _ = path(tmp_path / "path", days=3, **config)
    assert len(found.date) == 4
    for a, name in enumerate(NAMES):
        assert found.margin["calculated"][-1, a] == pytest.approx(rows[name]["core"], rel=1e-12)


def test_models_that_do_not_follow_history_stand_still(tmp_path):
    book, config, factors, _ = load(cycle_books.book(tmp_path / "book", prices=PRICES, toml=STRESS_TOML))
    found = margin_path(book, config, factors, every=20)
    crash = 8.0 * 2.0 * cycle_books.SPOT * 0.3
    long = NAMES.index("long")
    assert found.margin["calculated"][:, long] == pytest.approx([crash] * len(found.date))
    wanted = [
        0.75 * expected("long", upto)[0] + 0.25 * crash for upto in range(90 - 20 * (len(found.date) - 1), 91, 20)
    ]
    assert found.margin["stressed"][:, long] == pytest.approx(wanted, rel=1e-12)
    assert not [note for note in found.notes if "without [stress]" in note]


def test_a_blended_core_keeps_its_rule_on_every_date(tmp_path):
    tables = {"core": {"combine": "blend", "stress_weight": 0.5}, "toml": STRESS_TOML}
    found, _ = path(tmp_path / "book", every=20, **tables)
    crash, long = 8.0 * 2.0 * cycle_books.SPOT * 0.3, NAMES.index("long")
    dates = range(90 - 20 * (len(found.date) - 1), 91, 20)
    calculated, at_long_run = (np.array([expected("long", upto)[i] for upto in dates]) for i in (0, 1))
    assert found.margin["calculated"][:, long] == pytest.approx(0.5 * calculated + 0.5 * crash, rel=1e-12)
    wanted = np.maximum(0.5 * calculated, 0.5 * at_long_run) + 0.5 * crash
    assert found.margin["floor"][:, long] == pytest.approx(wanted, rel=1e-12)
    assert found.margin["stressed"][:, long] == pytest.approx(0.75 * calculated + 0.25 * crash, rel=1e-12)


def test_a_book_that_holds_nothing_has_a_path_of_zeros(tmp_path):
    found, _ = path(tmp_path / "book", every=20, held={"flat": 0.0})
    for method, margins in found.margin.items():
        assert (margins == 0.0).all(), method
    assert np.isnan(peak_to_trough(found.margin["calculated"])).all()


def test_an_account_that_fails_has_no_path_and_is_in_no_total(tmp_path):
    alone, _ = path(tmp_path / "alone", every=20, held={"sound": 8.0})
    found, _ = path(tmp_path / "both", every=20, held={"sound": 8.0, "vast": 9e14}, spot=9e299)
    assert list(found.failed) == [1]
    for method, margins in found.margin.items():
        assert np.isnan(margins[:, 1]).all(), method
        assert np.isfinite(margins[:, 0]).all(), method
        assert found.total[method] == pytest.approx(margins[:, 0])
    assert found.margin["calculated"][:, 0] == pytest.approx(
        alone.margin["calculated"][:, 0] * 9e299 / cycle_books.SPOT
    )


def test_dates_count_back_from_the_last(tmp_path):
    book, config, factors, _ = load(cycle_books.book(tmp_path / "book", prices=PRICES))
    assert path_rows(book, config, factors, None, 1).tolist() == list(range(30, 90))
    assert path_rows(book, config, factors, None, 25).tolist() == [39, 64, 89]
    assert path_rows(book, config, factors, 12, 5).tolist() == [79, 84, 89]
    assert path_rows(book, config, factors, 1000, 59).tolist() == [30, 89]


@pytest.mark.parametrize(("most", "every"), [(60 * 90, 1), (60 * 90 - 1, 5), (6 * 90, 10), (179, 30), (0, 30)])
def test_the_usual_dates_are_as_many_as_some_minutes_allow(tmp_path, monkeypatch, most, every):
    book, config, factors, _ = load(cycle_books.book(tmp_path / "book", prices=PRICES))
    monkeypatch.setattr("gpu_var.margin.constant_book.MOST", most)  # 30 scenarios of three kinds on 60 dates
    assert usual_every(book, config, factors, None) == every


def test_a_path_needs_two_dates(tmp_path):
    book, config, factors, _ = load(cycle_books.book(tmp_path / "book", prices=PRICES))
    with pytest.raises(ValueError, match="one date on the path"):
        margin_path(book, config, factors, every=100)


def test_blocks_of_dates_change_nothing(tmp_path, monkeypatch):
    whole, _ = path(tmp_path / "whole", every=7)
    monkeypatch.setattr("gpu_var.margin.constant_book.BLOCK_BYTES", 1)
    apart, _ = path(tmp_path / "apart", every=7)
    for method, margins in whole.margin.items():
        assert (apart.margin[method] == margins).all()
    assert apart.revaluations == whole.revaluations == len(whole.date) * 30 * 3


def test_without_a_model_that_follows_history_there_is_no_path(tmp_path):
    book, config, factors, _ = load(cycle_books.book(tmp_path / "book", prices=PRICES))
    with pytest.raises(ValueError, match="no model follows volatility"):
        margin_path(book, config.model_copy(update={"fhs": None}), factors)


def test_real_options_on_real_history(tmp_path):
    """The ETH options of a venue: the last date is the run itself, and every option keeps its promise on all dates."""
    book, config, factors, _ = load(eth.book(tmp_path))
    config = config.model_copy(update={"monte_carlo": None})
    core = gv.run(book, config, backend="cpu").margin["core"].to_numpy()
    found = margin_path(book, config, factors, days=40, every=20)
    assert len(found.date) == 3
    calculated = found.margin["calculated"]
    assert calculated[-1] == pytest.approx(core, rel=1e-9)
    assert (calculated[0] != calculated[-1]).any()
    assert (found.margin["floor"] >= calculated).all()
    assert (found.margin["buffer"] >= calculated).all()
    assert (found.margin["buffer"] <= 1.25 * calculated * (1 + 1e-12)).all()
    steps = found.margin["countercyclical"][1:] / found.margin["countercyclical"][:-1]
    capped = found.margin["countercyclical"][1:] < calculated[1:]
    assert steps[capped] == pytest.approx(1.05**20)
