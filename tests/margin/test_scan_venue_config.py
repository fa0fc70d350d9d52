"""Every parameter of a venue's grid: its lowest and highest value run, and what lies beyond is a finding."""

import math

import numpy as np
import pytest
from cli.small import replace, table, write_book

import gpu_var as gv
from gpu_var.cli import main

SCAN = 'as_of = 2026-01-05T00:00:00Z\nbase_currency = "USD"\n[scan]\nprice_range = 0.15\nvol_range = 0.5\n'

# Table, key, lowest and highest value that is allowed, values beyond, words of the finding.
SHARE = "expected a number from 0 to 1"
BOUNDS = [
    ("contingency.static", "perpetual", 0, 1, (-1e-9, 1.001), SHARE),
    ("contingency.static", "spot", 0, 1, (-0.5, 2), SHARE),
    ("contingency.static", "short_option", 0, 1, (-0.5, 2), SHARE),
    ("contingency.basis", "up", 1e-6, 10, (0, 10.1), "0 < up <= 10"),
    ("contingency.basis", "down", 1e-6, 0.999, (0, 1), "0 < down < 1"),
    ("contingency.basis", "weight", 0, 10, (-0.1, 11), "from 0 to 10"),
    ("contingency.basis", "weight_per_year", 0, 10, (-0.1, 11), "from 0 to 10"),
    ("contingency.option", "rate", 0, 1, (-0.1, 1.1), SHARE),
    ("contingency.option", "minimum_per_contract", 0, 1e12, (-1, 2e12), "from 0 to 1e12"),
    ("contingency.roll", "min_move", 0, 1, (-0.1, 1.1), SHARE),
    ("contingency.roll", "annual_move", 0, 10, (-0.1, 10.1), "from 0 to 10, per year"),
    ("contingency.delta", "hedged", 0, 0.04, (-0.1, 1.1), SHARE),
    ("contingency.delta", "unhedged", 0.005, 1, (-0.1, 1.1), SHARE),
    ("discount", "static", 1e-6, 1, (0, 1.01), "0 < static <= 1"),
    ("discount", "rate_multiple", 0, 100, (-1, 101), "from 0 to 100"),
    ("discount", "rate_add", 0, 1, (-0.1, 1.1), "from 0 to 1"),
    ("damper", "amount", 0, 1e12, (-1, 2e12), "from 0 to 1e12"),
]
FALLING = {("discount", "static"), ("damper", "amount")}


@pytest.fixture
def book(tmp_path):
    folder = write_book(tmp_path / "book")
    table(folder, "rates", ["currency,expiry,rate", "USD,2026-03-20,0.04"])
    replace(
        folder / "instruments.csv",
        "X,spot,X,1,,,",
        "X,spot,X,1,,,\nX-P1,perpetual,X,1,,,\nX-F,future,X,10,2026-06-19,,",
    )
    with (folder / "positions.csv").open("a", encoding="utf-8") as stream:
        stream.write("plain,X-P1,4\nplain,X-F,-3\n")
    return folder


def core(folder, text):
    (folder / "margin.toml").write_text(text)
    config = gv.Config.load(folder / "margin.toml")
    return np.array(gv.run(gv.read_book(folder, config), config, backend="cpu").margin["core"].to_pylist(), dtype=float)


@pytest.mark.parametrize(("name", "key", "low", "high", "beyond", "words"), BOUNDS)
def test_lowest_and_highest_run_and_order_the_margins(book, name, key, low, high, beyond, words):
    grid = f"{SCAN}extended = [[-0.6, 1.0, 0.5]]\n"
    if name == "contingency.delta":  # a least amount, which a grid that moves nothing leaves to be seen
        grid = SCAN.replace("0.15", "1e-6").replace("0.5", "0.0")
    lowest, highest = (core(book, f"{grid}[scan.{name}]\n{key} = {value}\n") for value in (low, high))
    assert np.isfinite([lowest, highest]).all()
    gained = lowest - highest if (name, key) in FALLING else highest - lowest
    assert (gained >= -1e-9 * np.abs(lowest)).all()
    assert (gained > 0).any()


@pytest.mark.parametrize(("name", "key", "low", "high", "beyond", "words"), BOUNDS)
def test_beyond_is_a_finding(book, capsys, name, key, low, high, beyond, words):
    for value in beyond:
        (book / "margin.toml").write_text(f"{SCAN}[scan.{name}]\n{key} = {value}\n")
        assert main(["validate", str(book)]) == 2
        said = capsys.readouterr().err
        assert f"key scan.{name}.{key}: " in said
        assert words in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[scan.contingency.basis]\ncombine = 'sum'\n", "key scan.contingency.basis.combine: 'sum' is not accepted"),
        ("[scan.contingency.basis]\nshift = 0.05\n", "the nearest known one is"),
        ("[scan.contingency.static]\nperpetuals = 0.05\n", "the nearest known one is 'perpetual'"),
        ("[scan.contingency.forward]\nup = 0.05\n", "scan.contingency.forward"),
        ("[scan.discount]\nstatic = true\n", "key scan.discount.static: true is of the wrong type"),
        ("[scan.damper]\namount = nan\n", "key scan.damper.amount: nan"),
        ("[scan.contingency.option]\nminimum_long = 1\n", "expected true or false"),
        (
            "[scan.contingency.delta]\nhedged = 0.05\nunhedged = 0.02\n",
            "key scan.contingency.delta.hedged: 0.05 makes positions that offset each other dearer together than "
            "apart; expected at most twice unhedged, 0.04",
        ),
    ],
)
def test_what_does_not_fit_is_a_finding(book, capsys, text, words):
    (book / "margin.toml").write_text(SCAN + text)
    assert main(["validate", str(book)]) == 2
    assert words in capsys.readouterr().err


def test_minimum_long_and_combine(book):
    minimum = "[scan.contingency.option]\nminimum_per_contract = 1e4\nminimum_long = {}\n"
    assert (core(book, SCAN + minimum.format("true")) >= core(book, SCAN + minimum.format("false"))).all()
    basis = "[scan.contingency.basis]\nweight = 2.0\ncombine = '{}'\n"
    plain, add, largest = (core(book, SCAN + text) for text in ("", basis.format("add"), basis.format("max")))
    assert (plain <= largest).all()
    assert (largest <= add).all()
    assert (largest < add).any()


def test_none_of_it_is_on_by_default(book):
    config = gv.Config(as_of="2026-01-05", base_currency="USD", scan={"price_range": 0.15, "vol_range": 0.5})
    assert config.scan.discount is None
    assert config.scan.damper is None
    assert not any(vars(config.scan.contingency).values())


def test_contingencies_are_columns_of_the_scan(book):
    tables = "".join(f"[scan.contingency.{name}]\n" for name in ("static", "basis", "option", "roll", "delta"))
    (book / "margin.toml").write_text(SCAN + tables)
    config = gv.Config.load(book / "margin.toml")
    run = gv.run(gv.read_book(book, config), config, backend="cpu")
    columns = run.measured.scan.columns
    names = ["basis", "static", "roll", "option", "delta", "option_minimum"]
    assert [name for name in columns if name.startswith("contingency_")] == [f"contingency_{name}" for name in names]
    added = sum(columns[f"contingency_{name}"] for name in names)
    assert columns["risk"] == pytest.approx(columns["scan_risk"] + added)
    assert all(math.isfinite(x) for x in added)
