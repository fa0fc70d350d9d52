"""A real option book: the ETH options of a venue, half of whose accounts have posted the coin itself."""

import csv
from pathlib import Path

import numpy as np
import pytest

import gpu_var as gv
from gpu_var.demo import eth

TABLES = {
    "haircut": "[collateral]\nhaircuts = { ETH = 0.15 }\n[maintenance]\nfactor = 0.8\n",
    "simulated": "[collateral]\nsimulate = true\ncredit_option_value = true\n[initial]\nfactor = 1.3\n"
    "[maintenance]\nlevel = 0.95\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return eth.book(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def runs(folder) -> dict[str, gv.Run]:
    """Historical scenarios alone, for speed."""
    text = (folder / "margin.toml").read_text(encoding="utf-8")
    fhs = text[: text.index("[monte_carlo]")]
    out = {}
    for name, tables in TABLES.items():
        (folder / f"{name}.toml").write_text(fhs + tables, encoding="utf-8")
        config = gv.Config.load(folder / f"{name}.toml")
        out[name] = gv.run(gv.read_book(folder, config), config, backend="cpu", threads=2)
    return out


@pytest.fixture(scope="module")
def posted(folder) -> dict[str, tuple[str, float]]:
    """Account -> asset and quantity, as the file has it: one row an account."""
    with (folder / "collateral.csv").open(newline="") as file:
        return {row["account"]: (row["asset"], float(row["quantity"])) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def spot(folder) -> float:
    with (folder / "underlyings.csv").open(newline="") as file:
        return {row["underlying"]: float(row["spot"]) for row in csv.DictReader(file)}["ETH"]


@pytest.mark.parametrize("name", TABLES)
def test_collateral_and_excess(runs, posted, spot, name):
    price = {"USD": 1.0, "ETH": spot}
    kept = {"USD": 1.0, "ETH": 0.85 if name == "haircut" else 1.0}
    standings = set()
    for row in runs[name].margin.to_pylist():
        asset, quantity = posted.get(row["account"], ("USD", 0.0))
        assert row["collateral_market_value"] == pytest.approx(quantity * price[asset], rel=1e-12)
        assert row["collateral"] == pytest.approx(quantity * price[asset] * kept[asset], rel=1e-12)
        assert row["excess"] == row["collateral"] - row["requirement"]
        option_value = row["net_option_value"] if name == "simulated" else 0.0
        factor = 1.3 if name == "simulated" else 1.0
        initial = factor * row["core"] + row["concentration"] + row["liquidity"]
        assert row["initial"] == pytest.approx(initial, rel=1e-12)
        assert row["requirement"] == pytest.approx(max(0, initial - option_value), rel=1e-9, abs=1e-6)
        least = max(0, row["maintenance"] - option_value)
        assert row["maintenance"] <= row["initial"]
        expected = "safe" if row["excess"] >= 0 else "call" if row["collateral"] >= least else "liquidation"
        assert row["standing"] == expected
        standings.add(expected)
    assert standings == {"safe", "call", "liquidation"}


def test_a_coin_that_is_shocked_with_the_book(runs, posted, spot):
    """The risk changes by at most the coins' own, either way; a hedge that is pledged lowers it."""
    column = runs["haircut"].margin.column_names.index("fhs_es")
    alone, joint = (run.margin.column(column).to_numpy() for run in (runs["haircut"], runs["simulated"]))
    names = runs["haircut"].margin["account"].to_pylist()
    coins = np.array([posted[name][1] if posted.get(name, ("",))[0] == "ETH" else 0.0 for name in names])
    assert joint[coins == 0] == pytest.approx(alone[coins == 0], rel=1e-12)  # tiles are cut elsewhere
    changed = joint - alone
    assert (np.abs(changed) <= coins * spot + 1e-6).all()
    assert (changed[coins > 0] != 0).all()
    assert changed.min() < 0 < changed.max()
