"""The demo books, which are real markets: what must hold of any stress test, and the same losses found another way."""

import numpy as np
import pytest

from gpu_var.demo import write_demo
from gpu_var.margin.requirement import requirement
from gpu_var.market.checks import check, load
from gpu_var.scenarios.language import stress_scenarios
from gpu_var.stress.losses import losses_in
from gpu_var.stress.stress_test import stress_test
from gpu_var.tables.config_stress_test import StressFile
from gpu_var.tables.findings import Findings
from gpu_var.tables.stress_file import load_stress_file

SHOCKS = {"fall": {"spot:*": -0.2, "iv:*": 0.5}, "rise": {"spot:*": 0.15, "iv:*": -0.2}}


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    return {path.name: path for path in write_demo(tmp_path_factory.mktemp("demo"))}


@pytest.mark.parametrize("name", ["deribit-eth-2024-01-08", "goog-2015-12-31"])
def test_the_same_losses_as_the_stress_model_of_a_run(books, name):
    """[stress] of margin.toml has scenarios of its own, and knows nothing of a stress test."""
    folder = books[name]
    book, config, factors, _ = load(folder)
    config = config.model_copy(update={"fhs": None, "monte_carlo": None})
    written = [{"name": key, "shocks": shocks} for key, shocks in SHOCKS.items()]
    plain = type(config).model_validate(config.as_dict() | {"stress": {"scenario": written}})
    findings = Findings()
    factors = check(book, plain, findings)
    run = requirement(book, plain, factors, threads=2)
    file = StressFile.model_validate({"scenario": written})
    scenarios = stress_scenarios(file, book, plain, factors)
    test = stress_test(book, plain, factors, file, scenarios, threads=2)
    np.testing.assert_allclose(test.exposure.loss, -run.pnl["stress"], rtol=1e-12, atol=1e-6)
    assert test.exposure.margin.tolist() == run.tables["margin"]["margin"].to_pylist()
    again = losses_in(test.exposure.measured, scenarios.set.shock)
    # American premiums are fitted over the scenarios at hand, so others differ in the seventh digit
    np.testing.assert_allclose(again, test.exposure.loss, rtol=1e-6, atol=1e-6 * np.abs(again).max())
    some = np.array([3, 7, 20])
    part = losses_in(test.exposure.measured, scenarios.set.shock, some)
    np.testing.assert_allclose(part, again[some], rtol=1e-6, atol=1e-6 * np.abs(again).max())


@pytest.mark.parametrize("name", ["deribit-eth-2024-01-08", "goog-2015-12-31"])
def test_the_books_own_scenarios(books, name):
    folder = books[name]
    book, config, factors, _ = load(folder)
    findings = Findings()
    file = load_stress_file(folder / "scenarios.toml", findings)
    assert file is not None
    assert not findings.errors
    # a few of the library, and neither [close_out] nor [reverse], which have tests of their own
    few = ("grid:spot-40:*", "history:covid-2020*") + (("frb:*:equity-low",) if "goog" in name else ())
    file = file.model_copy(update={"library": few, "close_out": None, "reverse": None})
    test = stress_test(book, config, factors, file, stress_scenarios(file, book, config, factors), threads=2)
    falls, lost = test.waterfall, test.shortfall
    np.testing.assert_allclose(falls.used.sum(axis=0), falls.loss, rtol=1e-12)
    assert (falls.used[:-1] <= falls.available[:-1] * (1.0 + 1e-12)).all()
    assert falls.uncovered.any()
    assert not falls.uncovered.all()
    assert (test.cover.amount[:, 1] >= test.cover.amount[:, 0]).all()
    assert test.house.group_name[0] == "harbour-group"
    # all losses are somebody's: members' house losses and clients' losses less their gains add up to the accounts'
    e = test.exposure
    gains = np.maximum(-e.loss[~test.house.house], 0.0).sum(axis=0)
    of_members = lost.house_loss.sum(axis=0) + lost.client_loss.sum(axis=0) - gains
    np.testing.assert_allclose(of_members, e.loss.sum(axis=0), rtol=1e-9, atol=1.0)
    table = test.tables["fund"]
    assert sum(table["allocated"].to_pylist()) == pytest.approx(test.fund.size, rel=1e-12)
    assert min(table["allocated"].to_pylist()) >= file.resources.least_contribution
    if "eth" in name:
        alone = stress_test(book, config, factors, file, stress_scenarios(file, book, config, factors), threads=1)
        assert all(table.equals(alone.tables[key]) for key, table in test.tables.items())
        np.testing.assert_array_equal(alone.exposure.loss, e.loss)
    assert test.fund.size == pytest.approx(1.1 * test.cover.amount[:, 1].max())
