"""Overlapping horizons and the measures over their sub-samples."""

import numpy as np
import pyarrow as pa
import pytest
from cli.small import write_book
from hypothesis import given, settings
from hypothesis import strategies as st

import cpu_reference
from gpu_var.cli import main
from gpu_var.margin.requirement import requirement
from gpu_var.market.checks import load
from gpu_var.scenarios.fhs import historical, overlapping
from gpu_var.scenarios.model import measures


def test_overlapping_sums_by_hand():
    moves = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])
    assert overlapping(moves, 1).tolist() == moves.tolist()
    assert overlapping(moves, 3).tolist() == [[7.0, 70.0], [14.0, 140.0]]
    assert overlapping(moves, 4).tolist() == [[15.0, 150.0]]


def test_measures_by_hand():
    # Sub-sample 0: losses 1, 3, 5, 7; sub-sample 1: 8, 6, 4, 2. At 75 % one of four is the tail.
    found = measures(cpu_reference, np.array([[1.0, 8.0, 3.0, 6.0, 5.0, 4.0, 7.0, 2.0]]), 2, 0.75)
    assert (found.var, found.es, found.worst, found.scenario) == (7.5, 7.5, 8.0, 1)
    # At 50 % two are: VaR 5 and 6, ES 6 and 7.
    found = measures(cpu_reference, np.array([[1.0, 8.0, 3.0, 6.0, 5.0, 4.0, 7.0, 2.0]]), 2, 0.5)
    assert (found.var, found.es) == (5.5, 6.5)
    # Of three sub-samples, two have three scenarios and one has two.
    found = measures(cpu_reference, np.arange(8.0)[None], 3, 0.9)
    assert (found.var, found.es, found.worst, found.scenario) == ((6 + 7 + 5) / 3, (6 + 7 + 5) / 3, 7.0, 7)


def test_ties_go_to_the_first_scenario_and_not_to_the_first_sub_sample():
    found = measures(cpu_reference, np.array([[0.0, 9.0, 9.0, 0.0], [9.0, 0.0, 0.0, 9.0]]), 2, 0.5)
    assert found.scenario.tolist() == [1, 0]


def test_a_row_that_is_not_finite_measures_as_nan_and_harms_no_other():
    found = measures(cpu_reference, np.array([[1.0, np.nan, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]]), 2, 0.5)
    for name in ("var", "es", "worst", "var_se", "es_se"):
        assert np.isnan(getattr(found, name)).tolist() == [True, False]


def test_too_many_sub_samples():
    with pytest.raises(ValueError, match="expected at least one scenario"):
        measures(cpu_reference, np.zeros((1, 2)), 3, 0.9)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 3),
    st.integers(1, 5),
    st.integers(5, 30),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.integers(0, 2**32 - 1),
)
def test_measures_are_averages(rows, samples, n, level, seed):
    losses = np.random.default_rng(seed).integers(-5, 6, (rows, n)).astype(np.float64)
    found = measures(cpu_reference, losses, samples, level)
    whole = cpu_reference.tail(losses, level)
    parts = [cpu_reference.tail(losses[:, j::samples], level) for j in range(samples)]
    np.testing.assert_allclose(found.var, sum(part.var for part in parts) / samples)
    np.testing.assert_allclose(found.es, sum(part.es for part in parts) / samples)
    np.testing.assert_array_equal(found.worst, whole.worst)
    np.testing.assert_array_equal(found.scenario, whole.scenario)
    assert (found.es >= found.var - 1e-12).all()
    assert (found.worst >= found.es - 1e-12).all()
    if samples == 1:
        for got, expected in zip(found, whole, strict=True):
            np.testing.assert_array_equal(got, expected)


def book_with(tmp_path, top="", fhs=""):
    book = write_book(tmp_path / "book")
    text = f'as_of = 2026-01-05T00:00:00Z\nbase_currency = "USD"\nlevel = 0.9\n{top}\n[fhs]\nlookback = 50\n{fhs}\n'
    (book / "margin.toml").write_text(text)
    return book


def scenarios(tmp_path, top="", fhs=""):
    book, config, factors, _ = load(book_with(tmp_path, top, fhs))
    return historical(book, config, factors, cpu_reference)


def test_one_day_overlapping_is_the_base(tmp_path):
    base = scenarios(tmp_path / "a")
    found = scenarios(tmp_path / "b", fhs='horizon = "overlapping"')
    np.testing.assert_array_equal(found.shock, base.shock)
    assert (found.name, found.samples, base.samples) == (base.name, 1, 1)


def test_h_days_are_sums_of_the_moves_of_one(tmp_path):
    base = scenarios(tmp_path / "a")
    found = scenarios(tmp_path / "b", "holding_period_days = 4", 'horizon = "overlapping"')
    assert found.samples == 4
    assert found.name == base.name[3:]
    expected = [base.shock[t - 3 : t + 1].sum(axis=0) for t in range(3, 50)]
    np.testing.assert_allclose(found.shock, expected, rtol=1e-13)
    scaled = scenarios(tmp_path / "c", "holding_period_days = 4")
    np.testing.assert_array_equal(scaled.shock, 2.0 * base.shock)


def test_a_run_averages_its_measures_over_the_sub_samples(tmp_path):
    found = requirement(*load(book_with(tmp_path, "holding_period_days = 3", 'horizon = "overlapping"'))[:3])
    losses = -found.pnl["fhs"]
    assert losses.shape[1] == 48
    each = [np.sort(losses[:, j::3], axis=1)[:, ::-1] for j in range(3)]  # 16 each, of which 1.6 are the tail
    var = np.mean([part[:, 1] for part in each], axis=0)
    es = np.mean([(part[:, 0] + 0.6 * part[:, 1]) / 1.6 for part in each], axis=0)
    for column, expected in (("fhs_var", var), ("fhs_es", es), ("fhs_worst", losses.max(axis=1))):
        np.testing.assert_allclose(
            found.tables["margin"][column].to_numpy(), np.maximum(expected, 0.0), rtol=1e-12, atol=1e-12
        )
    cells = {row["account"]: row["fhs_es"] for row in found.tables["breakdown"].to_pylist()}
    accounts = {row["account"]: row["fhs_es"] for row in found.tables["margin"].to_pylist()}
    assert cells == pytest.approx({name: accounts[name] for name in cells}, abs=1e-9)


def test_the_settings_change_the_margin(tmp_path):
    def margin(name, fhs):
        return requirement(*load(book_with(tmp_path / name, "holding_period_days = 2", fhs))[:3]).tables["margin"]

    base = margin("base", "")
    changes = ['volatility = "absolute"', 'volatility_floor = { "spot:*" = 0.5 }']
    changes += ["correlation_scaling = true", 'horizon = "overlapping"']
    for i, fhs in enumerate(changes):
        assert not margin(str(i), fhs)["fhs_es"].equals(base["fhs_es"])
    assert margin("last", 'volatility_floor = { "spot:*" = 0.0 }').equals(base)


@pytest.mark.parametrize(
    "fhs",
    [
        'volatility = "absolute"',
        "volatility_floor = {}",
        'volatility_floor = { "*" = 0 }',
        'volatility_floor = { "spot:X" = 1e6, "iv:X:*" = 0.1 }',
        "correlation_scaling = true\ncorrelation_shrinkage = 0",
        "correlation_scaling = true\ncorrelation_shrinkage = 1",
        'horizon = "overlapping"\nlookback = 50',
    ],
)
def test_the_lowest_and_the_highest_are_accepted(tmp_path, fhs):
    top = "holding_period_days = 17"  # 50 = 3·17 − 1 returns
    assert main(["validate", str(book_with(tmp_path, top, fhs.replace("\nlookback = 50", ""))), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("fhs", "said"),
    [
        ('volatility = "garch"', "key fhs.volatility: 'garch' is not accepted; expected 'ewma' or 'absolute'"),
        (
            'volatility_floor = { "spot:*" = -1e-9 }',
            "key fhs.volatility_floor.spot:*: -1e-09 is out of range",
        ),
        ('volatility_floor = { "spot:*" = "1%" }', "key fhs.volatility_floor.spot:*: '1%' is of the wrong type"),
        ("volatility_floor = 0.01", "key fhs.volatility_floor: 0.01 is of the wrong type; expected a table of least"),
        (
            'volatility_floor = { "sopt:*" = 0.01 }',
            "key fhs.volatility_floor.sopt:*: no factor's name; the nearest kind of factor is 'spot:'",
        ),
        ("correlation_scaling = 1", "key fhs.correlation_scaling: 1 is of the wrong type; expected true or false"),
        ("correlation_shrinkage = 0.5", "key fhs.correlation_shrinkage: 0.5 goes with correlation_scaling = true only"),
        (
            "correlation_scaling = true\ncorrelation_shrinkage = 1.01",
            "key fhs.correlation_shrinkage: 1.01 is out of range; expected a number from 0 to 1",
        ),
        (
            "correlation_scaling = true\ncorrelation_shrinkage = -0.01",
            "key fhs.correlation_shrinkage: -0.01 is out of range; expected a number from 0 to 1",
        ),
        ('horizon = "overlap"', "key fhs.horizon: 'overlap' is not accepted; expected 'scale' or 'overlapping'"),
        ('scaling = "none"\nvolatility = "absolute"', "key fhs.volatility: goes with scaling 'full' or 'mid' only"),
        ('scaling = "none"\nvolatility_floor = { "*" = 1 }', "key fhs.volatility_floor: goes with scaling"),
        ('scaling = "none"\ncorrelation_scaling = true', "key fhs.correlation_scaling: goes with scaling"),
        (
            'horizon = "overlapping"',
            "key fhs.horizon: 'overlapping' makes 18 sub-samples of the 50 returns; expected lookback >= "
            "3*holding_period_days - 1 = 53, two windows a sub-sample, or 'scale'",
        ),
    ],
)
def test_is_found(tmp_path, capsys, fhs, said):
    assert main(["validate", str(book_with(tmp_path, "holding_period_days = 18", fhs))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[0]
    assert lines[-1] == "1 error in 1 table; nothing was written"


def test_monte_carlo_takes_the_volatility_of_fhs_unless_it_gives_its_own(tmp_path):
    fhs = 'volatility = "absolute"\nvolatility_floor = { "spot:*" = 0.5 }\n[monte_carlo]\npaths = 50\n'
    _, config, _, _ = load(book_with(tmp_path / "a", fhs=fhs))
    assert (config.monte_carlo.volatility, config.monte_carlo.volatility_floor) == ("absolute", {"spot:*": 0.5})
    _, config, factors, _ = load(book_with(tmp_path / "b", fhs=fhs + 'volatility = "ewma"\nvolatility_floor = {}\n'))
    assert (config.monte_carlo.volatility, config.monte_carlo.volatility_floor) == ("ewma", {})
    assert factors.names == ("iv:X:60d", "spot:X")
    found = requirement(*load(tmp_path / "a" / "book")[:3])
    assert found.measured.sets["monte_carlo"].shock[:, 1].std() == pytest.approx(0.5, rel=0.3)


def test_a_floor_for_no_factor_is_noted_with_the_nearest(tmp_path):
    _, _, _, findings = load(book_with(tmp_path, fhs='volatility_floor = { "spot:Y" = 0.1, "spot:*" = 0, "fx:*" = 0 }'))
    key = "margin.toml, key fhs.volatility_floor:"
    assert f"{key} 'spot:Y' is no factor of the run; the nearest is 'spot:X'" in findings.notes
    assert f"{key} 'fx:*' is no factor of the run; the nearest is 'spot:X'" in findings.notes
    assert not [note for note in findings.notes if "'spot:*'" in note]


def test_the_note_of_the_scaling_reaches_the_run(tmp_path):
    book = book_with(tmp_path, fhs="correlation_scaling = true")
    table = pa.csv.read_csv(book / "history.csv").append_column  # the volatility moves as the spot does
    columns = pa.csv.read_csv(book / "history.csv")
    twin = table("iv:X:90d", pa.array(columns["spot:X"].to_numpy() / 100.0))
    pa.csv.write_csv(twin, book / "history.csv")
    notes = requirement(*load(book)[:3]).notes
    assert [note for note in notes if note.startswith("fhs: the correlations of 3 factors")]
