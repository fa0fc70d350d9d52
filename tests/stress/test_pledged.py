"""Collateral in scenarios: what moves it, by hand."""

import pytest
from stress.stress_books import CONFIG, CRASH, RESOURCES, file_of, house, stressed

from gpu_var.market.checks import load
from gpu_var.scenarios.language import stress_scenarios
from gpu_var.stress.pledged import collateral_in

near = pytest.approx


def test_an_asset_moves_with_its_spot_and_its_currency(tmp_path):
    """Y is 80 euros, the euro 1.25 dollars. Y falls by 30 %, the euro by 10 %: 80·0.7·1.25·0.9 = 63. Z, normal, falls
    by 7 to 13. Euros: 1.125 each. Dollars stay. W is held by nobody, so no factor moves it: 20.
    """
    posted = [("a", "Y", 3), ("a", "EUR", 100), ("b", "Z", 4), ("b", "USD", 10), ("b", "EUR", -20), ("c", "W", 2)]
    holdings = dict.fromkeys("abc", ("alpha", "client", 1))
    folder = house(tmp_path / "book", holdings, collateral=posted)
    (folder / "underlyings.csv").write_text(
        "underlying,currency,spot,dynamics\nX,USD,100,lognormal\nY,EUR,80,\nZ,USD,20,normal\nW,USD,10,\n"
    )
    (folder / "instruments.csv").write_text("instrument,kind,underlying\nX,spot,X\nY,spot,Y\nZ,spot,Z\nW,spot,W\n")
    with (folder / "positions.csv").open("a") as file:
        file.write("a,Y,1\na,Z,1\n")
    book, config, factors, _ = load(folder)
    shocks = {"spot:Y": -0.3, "spot:Z": -7.0, "fx:EUR": -0.1}
    rules = file_of({"name": "both", "shocks": shocks}, {"name": "still", "shocks": {"spot:X": 0.0}})
    scenarios = stress_scenarios(rules, book, config, factors)
    value, notes = collateral_in(book, config, factors, scenarios.set.shock)
    assert value[:, 0] == near([3 * 63 + 100 * 1.125, 4 * 13 + 10 - 20 * 1.125, 20])
    assert value[:, 1] == near([3 * 100 + 125, 4 * 20 + 10 - 25, 20])
    assert notes == ["collateral: no factor moves its value, which stays as of today: W"]


def test_simulated_collateral_falls_in_the_loss(tmp_path):
    """alpha-house has 10 X, and 2 X posted: a margin of 120, and 360 lost in the crash, 60 of it collateral. What it
    has posted counts as of today, 200, so that loss less collateral is what it is without simulation: 300 − 140.
    """
    posted = [("alpha-house", "X", 2)]
    simulated = house(
        tmp_path / "simulated",
        collateral=posted,
        config=CONFIG + '[collateral]\nhaircuts = { "*" = 0.0 }\nsimulate = true\n',
    )
    apart = house(tmp_path / "apart", collateral=posted)
    results = {}
    for name, folder in (("simulated", simulated), ("apart", apart)):
        test = stressed(folder, file_of(CRASH, resources={**RESOURCES, "against": "collateral"}))
        row = test.exposure.measured.book.accounts.name.to_pylist().index("alpha-house")
        e = test.exposure
        results[name] = (e.margin[row], e.loss[row, 0], e.collateral[row, 0])
    assert results["simulated"] == near((120, 360, 200))
    assert results["apart"] == near((100, 300, 140))
