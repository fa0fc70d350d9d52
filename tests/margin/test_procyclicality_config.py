"""[antiprocyclicality]: every parameter at its ends, and what is said beyond them."""

import pyarrow.parquet as pq
import pytest
from margin import cycle_books
from pydantic import ValidationError

from gpu_var.cli import main
from gpu_var.tables.config_procyclicality import AntiProcyclicality

STRESS = '[stress]\n[[stress.scenario]]\nname = "crash"\nshocks = { "spot:*" = -0.3 }\n'
OPTION = {
    "lookback": "floor",
    "stressed_weight": "stressed",
    "floor_share": "countercyclical",
    "max_daily_rise": "countercyclical",
    "previous_days": "countercyclical",
}
ENDS = {
    "lookback": (2, 10**9),
    "buffer": (0.0, 0.9),
    "run_down_start": (0.1, 10.0),
    "run_down_end": (1.34, 100.0),
    "stressed_weight": (0.0, 1.0),
    "floor_share": (0.0, 1.0),
    "max_daily_rise": (1e-9, 1.0),
    "previous_days": (1, 30),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, ends in ENDS.items() for value in ends])
def test_the_ends_are_accepted(tmp_path, key, value):
    toml = STRESS if key == "stressed_weight" else ""
    table = {"option": OPTION.get(key, "buffer"), "run_down_end": 100.0, key: value}
    folder = cycle_books.book(tmp_path / "book", toml=toml, antiprocyclicality=table)
    assert main(["run", str(folder), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    rows = pq.read_table(tmp_path / "out" / "margin.parquet").to_pylist()
    for row in rows:
        assert row["margin"] == pytest.approx(row["core"] + row["procyclicality"])
        assert row["margin"] >= 0.0
    assert sum(row["core"] for row in rows) > 0.0


BEYOND = [
    ({"option": "cap"}, "option: 'cap' is not accepted; expected 'buffer', 'stressed', 'floor' or 'countercyclical'"),
    ({}, "option: missing; expected 'buffer', 'stressed', 'floor' or 'countercyclical'"),
    ({"lookback": 1}, "lookback: 1 is out of range; expected a whole number of returns, 2 or more"),
    ({"lookback": 2.5}, "lookback: 2.5 is of the wrong type"),
    ({"buffer": -0.01}, "buffer: -0.01 is out of range; expected a number with 0 <= buffer < 1"),
    ({"buffer": 1.0}, "buffer: 1.0 is out of range"),
    ({"run_down_start": 0.09}, "run_down_start: 0.09 is out of range; expected a number from 0.1 to 10"),
    ({"run_down_start": 10.1}, "run_down_start: 10.1 is out of range"),
    ({"run_down_end": 0.09}, "run_down_end: 0.09 is out of range; expected a number from 0.1 to 100"),
    ({"run_down_end": 100.1}, "run_down_end: 100.1 is out of range"),
    ({"stressed_weight": -0.1}, "stressed_weight: -0.1 is out of range; expected a number from 0 to 1"),
    ({"stressed_weight": 1.1}, "stressed_weight: 1.1 is out of range"),
    ({"floor_share": -0.1}, "floor_share: -0.1 is out of range; expected a number from 0 to 1"),
    ({"floor_share": 1.1}, "floor_share: 1.1 is out of range"),
    ({"max_daily_rise": 0.0}, "max_daily_rise: 0.0 is out of range; expected a number with 0 < max_daily_rise <= 1"),
    ({"max_daily_rise": 1.1}, "max_daily_rise: 1.1 is out of range"),
    ({"previous_days": 0}, "previous_days: 0 is out of range; expected a whole number from 1 to 30"),
    ({"previous_days": 31}, "previous_days: 31 is out of range"),
    ({"bufer": 0.3}, "bufer: unknown key; the nearest known one is 'buffer'"),
    ({"run_down_end": 1.3}, "run_down_end: 1.3 makes the margin fall while the calculated margin rises"),
    ({"buffer": 0.0, "run_down_end": 1.0}, "run_down_end: 1 makes the margin fall"),
    ({"option": "stressed"}, "option: 'stressed' needs the model [stress]; expected its table, or another option"),
]


@pytest.mark.parametrize(("table", "said"), BEYOND, ids=[str(table) for table, _ in BEYOND])
def test_what_is_beyond_is_found(tmp_path, capsys, table, said):
    table = {"option": "buffer"} | table if table else table
    folder = cycle_books.book(tmp_path / "book", antiprocyclicality=table)
    assert main(["run", str(folder)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert f"key antiprocyclicality.{said}" in lines[0]
    assert lines[1:] == ["1 error in 1 table; nothing was written"]
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


@pytest.mark.parametrize(
    ("option", "tables", "said"),
    [
        ("stressed", {"core": {"combine": "blend", "stress_weight": 0.25}}, "weighs [stress] as core.combine 'blend'"),
        ("floor", {"fhs": None}, "'floor' needs a model that follows volatility; expected a table [fhs] or"),
    ],
)
def test_models_that_do_not_go_with_it_are_found(tmp_path, capsys, option, tables, said):
    folder = cycle_books.book(tmp_path / "book", toml=STRESS, antiprocyclicality={"option": option}, **tables)
    assert main(["validate", str(folder)]) == 2
    assert said in capsys.readouterr().err


def test_the_least_end_of_the_run_down_is_where_the_margin_stops_falling():
    least = 1.0 / (1.0 - 0.25)
    assert AntiProcyclicality(option="buffer", run_down_end=least).run_down_end == least
    with pytest.raises(ValidationError, match="at least run_down_start"):
        AntiProcyclicality(option="buffer", run_down_end=0.999 * least)
