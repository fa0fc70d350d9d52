"""The charges' tables in margin.toml: lowest and highest values, what is beyond them, unknown keys."""

import pytest
from margin.charge_books import write

from gpu_var.cli import main
from gpu_var.tables.config import Config
from gpu_var.tables.findings import InputError

TOP = 'as_of = 2026-01-05\nbase_currency = "USD"\n[fhs]\nlookback = 300\n'
RATE = "expected a number from 0 to 1,000,000"
SHARE = "expected a number from 0 to 1"

ALLOWED = [
    ("diversification", "cap", (0, 1)),
    ("correlation_break", "windows", (2, 300)),
    ("correlation_break", "multiplier", (0, 100)),
    ("correlation_break", "cap", (0.0, 1.0)),
    *(("options", key, (0, 1e6)) for key in ("gamma_move", "vega_points", "short_minimum")),
    *(("options.underlyings.A", key, (0, 1e6)) for key in ("gamma_move", "vega_points", "short_minimum")),
    ("monte_carlo", "dependence_addon", (0, 1)),
]
BEYOND = [
    ("diversification", "cap = -0.01", f"-0.01 is out of range; {SHARE}"),
    ("diversification", "cap = 1.01", f"1.01 is out of range; {SHARE}"),
    ("diversification", 'cap = "all"', "'all' is of the wrong type"),
    ("correlation_break", "windows = 1", "1 is out of range; expected a whole number of windows, 2 or more"),
    ("correlation_break", "windows = 2.5", "2.5 is of the wrong type"),
    ("correlation_break", "multiplier = -1", "-1 is out of range; expected a number from 0 to 100"),
    ("correlation_break", "multiplier = 100.1", "100.1 is out of range"),
    ("correlation_break", "cap = 1.01", f"1.01 is out of range; {SHARE}"),
    ("correlation_break", "cap = -0.1", f"-0.1 is out of range; {SHARE}"),
    ("options", "gamma_move = -0.1", f"-0.1 is out of range; {RATE}"),
    ("options", "gamma_move = 1000001", f"1000001 is out of range; {RATE}"),
    ("options", "vega_points = -0.1", f"-0.1 is out of range; {RATE}"),
    ("options", "vega_points = inf", "inf is not accepted"),
    ("options", "short_minimum = -0.1", f"-0.1 is out of range; {RATE}"),
    ("options", "short_minimum = 1000001", f"1000001 is out of range; {RATE}"),
    ("options", 'short_minimum_basis = "mean"', "'mean' is not accepted; expected 'sum' or 'max'"),
    ("options.underlyings.A", "gamma_move = -0.1", f"-0.1 is out of range; {RATE}"),
    ("options.underlyings.A", 'short_minimum_basis = "mean"', "'mean' is not accepted; expected 'sum' or 'max'"),
    ("monte_carlo", "dependence_addon = 1.5", f"1.5 is out of range; {SHARE}"),
    ("monte_carlo", "dependence_addon = -0.5", f"-0.5 is out of range; {SHARE}"),
]
UNKNOWN = [
    ("diversification", "capp", "cap"),
    ("correlation_break", "window", "windows"),
    ("options", "gama_move", "gamma_move"),
    ("options.underlyings.A", "vega_point", "vega_points"),
    ("monte_carlo", "dependance_addon", "dependence_addon"),
]


def loaded(tmp_path, text):
    path = tmp_path / "margin.toml"
    path.write_text(TOP + text)
    return Config.load(path)


@pytest.mark.parametrize(("table", "key", "ends"), ALLOWED)
def test_lowest_and_highest(tmp_path, table, key, ends):
    for end in ends:
        found = loaded(tmp_path, f"[{table}]\n{key} = {end}\n").as_dict()
        for part in table.split("."):
            found = found[part]
        assert found[key] == end


@pytest.mark.parametrize(("table", "line", "said"), BEYOND)
def test_beyond(tmp_path, capsys, table, line, said):
    book = write(tmp_path / "book", f"[fhs]\nlookback = 300\n[{table}]\n{line}\n", a={"A": 1.0})
    assert main(["run", str(book)]) == 2
    lines = [text for text in capsys.readouterr().err.splitlines() if not text.startswith("note:")]
    assert f"margin.toml, key {table}.{line.split(' ')[0]}: {said}" in lines[0]
    assert lines[1:] == ["1 error in 1 table; nothing was written"]


@pytest.mark.parametrize(("table", "key", "nearest"), UNKNOWN)
def test_an_unknown_key_names_the_nearest(tmp_path, table, key, nearest):
    with pytest.raises(InputError, match=f"key {table}.{key}: unknown key; the nearest known one is '{nearest}'"):
        loaded(tmp_path, f"[{table}]\n{key} = 1\n")


def test_the_correlation_break_needs_history(tmp_path):
    path = tmp_path / "margin.toml"
    path.write_text('as_of = 2026-01-05\nbase_currency = "USD"\n[monte_carlo]\n[correlation_break]\n')
    with pytest.raises(InputError, match=r"key correlation_break: needs the model \[fhs\]"):
        Config.load(path)


@pytest.mark.parametrize(
    ("before", "fhs", "windows", "said"),
    [
        ("", "", 301, "301 is too many for 300 scenarios; expected at most 300"),
        # Overlapping ten-day moves: 291, in ten sub-samples.
        ("holding_period_days = 10\n", 'horizon = "overlapping"\n', 30, "30 is too many for 291 scenarios; .* most 29"),
    ],
)
def test_more_windows_than_scenarios(tmp_path, before, fhs, windows, said):
    path = tmp_path / "margin.toml"
    text = before + TOP + fhs + "[correlation_break]\nwindows = "
    path.write_text(f"{text}{windows}\n")
    with pytest.raises(InputError, match=rf"key correlation_break\.windows: {said}"):
        Config.load(path)
    path.write_text(f"{text}{29 if fhs else 300}\n")
    assert Config.load(path).correlation_break is not None


def test_defaults():
    tables = {"diversification": {}, "correlation_break": {}, "options": {}}
    found = Config(as_of="2026-01-05", base_currency="USD", fhs={}, **tables).as_dict()
    assert found["diversification"] == {"cap": 0.8}
    assert found["correlation_break"] == {"windows": 3, "multiplier": 1.0, "cap": 0.25}
    off = {"gamma_move": 0.0, "vega_points": 0.0, "short_minimum": 0.0}
    assert found["options"] == {**off, "short_minimum_basis": "sum", "underlyings": {}}
