"""bench/field: its cases, the peers' input, the protocol, the table. No network, no peer but NumPy and QuantLib."""

import importlib
import json
import math
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

import gpu_var as gv

FIELD = Path(__file__).resolve().parents[2] / "bench" / "field"
MODULES = (
    "answers",
    "cases",
    "claims",
    "gpu_var_book",
    "install",
    "lines",
    "ore_input",
    "protocol",
    "rows",
    "run",
    "table",
)
SMALL = {"options": 60, "scenarios": 12, "exercise": "european"}


@pytest.fixture(scope="module")
def field() -> Iterator[SimpleNamespace]:
    """The modules of bench/field, which are scripts' neighbours and no package."""
    sys.path.insert(0, str(FIELD))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(FIELD))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture
def case(field: SimpleNamespace) -> dict[str, Any]:
    return field.cases.generate("small", **SMALL)


def test_a_case_is_the_same_every_time_and_another_with_another_seed(field: SimpleNamespace) -> None:
    assert field.cases.generate("x", **SMALL) == field.cases.generate("x", **SMALL)
    assert field.cases.generate("x", **SMALL) != field.cases.generate("x", **SMALL, seed=2)


@pytest.mark.parametrize("name", ["european-1000x1000", "european-10000x500", "american-1000x500"])
def test_the_cases_are_what_an_exchange_lists(field: SimpleNamespace, name: str) -> None:
    case = field.cases.generate(name, **field.cases.SIZES[name])
    o, h = case["options"], case["history"]
    asked = field.cases.SIZES[name]
    assert {len(column) for column in o.values()} == {asked["options"]}
    assert len(h["date"]) == asked["scenarios"] + 1
    assert len(set(zip(o["underlying"], o["days"], o["strike"], o["right"], strict=True))) == asked["options"]
    assert all(days % 7 == 0 for days in o["days"])
    assert len(set(o["days"])) == 20
    assert min(o["days"]) == 14 and 1000 < max(o["days"]) < 1200  # noqa: PT018
    assert 0.1 < min(o["volatility"]) < max(o["volatility"]) < 1.0
    assert all(o["quantity"])
    assert h["date"] == sorted(set(h["date"]))
    assert h["date"][-1] == case["as_of"]
    for underlying, levels in zip(case["underlyings"], h["spot"], strict=True):
        assert levels[-1] == underlying["spot"]
    spot, vol = map(np.array, field.cases.growths(case))
    assert 0.005 < np.log(spot).std() < 0.03
    assert 0.02 < np.log(vol).std() < 0.1
    assert np.corrcoef(np.log(spot[0]), np.log(vol[0]))[0, 1] < -0.3  # volatility rises as the spot falls


def test_a_case_may_be_cut_to_its_last_scenarios(field: SimpleNamespace, case: dict[str, Any]) -> None:
    part = field.cases.cut(case, 3)
    assert np.array_equal(field.cases.growths(part), np.array(field.cases.growths(case))[:, :, -3:])


def test_the_reference_is_the_published_value(field: SimpleNamespace) -> None:
    """Hull, Options, Futures and Other Derivatives, example 15.6: S 42, K 40, r 10 %, σ 20 %, six months."""
    price = field.answers.black_scholes
    assert price(42, 40, 0.5, 0.1, 0.0, 0.2, "call") == pytest.approx(4.76, abs=0.005)
    assert price(42, 40, 0.5, 0.1, 0.0, 0.2, "put") == pytest.approx(0.81, abs=0.005)


def test_value_at_risk_is_the_kth_worst_loss(field: SimpleNamespace) -> None:
    """500 scenarios at 99 %: the fifth; 1,000: the tenth."""
    assert field.protocol.value_at_risk([-float(i) for i in range(1, 501)], 0.99) == 496.0
    assert field.protocol.value_at_risk([-float(i) for i in range(1, 1001)], 0.99) == 991.0


def test_gpu_var_reads_its_book_and_gives_the_reference(
    field: SimpleNamespace, case: dict[str, Any], tmp_path: Path
) -> None:
    folder = field.gpu_var_book.write_book(case, tmp_path / "book", 0.99, apart=True)
    book, config = gv.read_book(folder), gv.Config.load(folder / "margin.toml")
    pnl = gv.run(book, config, backend="cpu", threads=1).pnl["fhs"]
    got = array("d", [*gv.price(book, config)["price"].to_pylist(), *pnl.ravel().tolist()])
    assert field.answers.difference(case, got, field.answers.european(case)) < 1e-12


def test_the_input_of_ore_is_whole(field: SimpleNamespace, tmp_path: Path) -> None:
    case = field.cases.generate("two", options=1001, scenarios=3, exercise="european")
    master = field.ore_input.write_ore(case, tmp_path, 0.99, 2)
    texts = {path.name: path.read_text() for path in master.parent.iterdir()}
    trees = {name: ET.fromstring(text) for name, text in texts.items() if name.endswith(".xml")}
    trades = trees["portfolio.xml"].findall("Trade")
    assert len({trade.get("id") for trade in trades}) == 1001
    signed = [
        float(t.findtext("EquityOptionData/Quantity"))
        * (1 if t.findtext("EquityOptionData/OptionData/LongShort") == "Long" else -1)
        for t in trades
    ]
    assert signed == case["options"]["quantity"]
    assert sum("EQUITY_OPTION/" in line for line in texts["market.txt"].splitlines()) == 20 * 25 + 1
    header, *rows = (line.split(",") for line in texts["scenarios.csv"].splitlines())
    assert len(header) == 3 + 2 + 2 * 500
    assert [len(row) for row in rows] == [len(header)] * 4
    settings = {p.get("name"): p.text for p in trees["ore.xml"].iter("Parameter")}
    assert settings["riskClassBreakdown"] == "N"
    assert settings["nThreads"] == "2"


@pytest.mark.parametrize("script", ["peer_numpy.py", "peer_quantlib.py"])
def test_a_peer_in_a_process_of_its_own_gives_the_reference(
    field: SimpleNamespace, case: dict[str, Any], tmp_path: Path, script: str
) -> None:
    if script == "peer_quantlib.py":
        pytest.importorskip("QuantLib")
    row = field.rows.Row("it", "It", "numpy", script)
    inputs = field.run.Inputs(case, tmp_path / "full", [1])

    def ask(task: str, **more: Any) -> Any:
        request = inputs.request(row, task, **more)
        return field.rows.call(row, request, tmp_path, 120.0, Path(sys.executable))

    answered = ask("answer", matrix=str(tmp_path / "matrix"))
    assert answered.reply["version"]
    assert answered.peak_mb > 10.0
    expected = field.answers.european(case)
    assert field.answers.difference(case, field.answers.read(tmp_path / "matrix"), expected) < 1e-12
    assert len(ask("time", runs=3, seconds=60).reply["seconds"]) == 3
    whole = ask("whole").reply
    assert len(whole["pnl"]) == 12
    by_option = np.array(expected[60:]).reshape(60, 12)
    by_hand = np.array(case["options"]["quantity"]) @ by_option
    assert field.answers.portfolio_difference(case, whole["pnl"], by_hand.tolist()) < 1e-12
    assert whole["var"] == -min(whole["pnl"])


def test_the_schemes_of_quantlib_agree_on_american_options(field: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip("QuantLib")
    case = field.cases.generate("american", **SMALL | {"options": 20, "scenarios": 2, "exercise": "american"})
    inputs = field.run.Inputs(case, tmp_path / "full", [])
    said = {}
    for scheme in ("fast", "high"):
        row = field.rows.Row(scheme, scheme, "quantlib", "peer_quantlib.py", (scheme,))
        request = inputs.request(row, "answer", matrix=str(tmp_path / scheme))
        field.rows.call(row, request, tmp_path, 120.0, Path(sys.executable))
        said[scheme] = field.answers.read(tmp_path / scheme)
    assert 0.0 < field.answers.difference(case, said["fast"], said["high"]) < 1e-4


def test_a_peer_that_fails_says_why(field: SimpleNamespace, case: dict[str, Any], tmp_path: Path) -> None:
    inputs = field.run.Inputs(case, tmp_path / "full", [])
    broken = inputs.request(SimpleNamespace(threads=1), "whole") | {"case": str(tmp_path / "nowhere.json")}
    row = field.rows.Row("it", "It", "numpy", "peer_numpy.py")
    with pytest.raises(field.rows.Failed, match=r"exit status 1: .*nowhere\.json"):
        field.rows.call(row, broken, tmp_path, 120.0, Path(sys.executable))
    with pytest.raises(field.rows.Failed, match="took longer than 0 s"):
        field.rows.call(row, inputs.request(row, "whole"), tmp_path, 0.05, Path(sys.executable))


def test_a_peer_that_is_not_installed_says_so(
    field: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field.install, "CACHE", tmp_path)
    row = field.rows.Row("it", "It", "ore", "peer_ore.py")
    assert "python bench/field/install.py" in row.absent()
    note = tmp_path / "environments" / "ore.json"
    note.parent.mkdir()
    note.write_text(json.dumps({"reason": "pip: no matching distribution"}))
    assert row.absent() == "pip: no matching distribution"
    note.write_text(json.dumps({"reason": None}))
    assert row.absent() is None


def test_a_difference_counts_by_spot_and_what_is_missing_is_infinite(
    field: SimpleNamespace, case: dict[str, Any]
) -> None:
    expected = field.answers.european(case)
    spot = case["underlyings"][0]["spot"]
    assert field.answers.difference(case, expected, expected) == 0.0
    for at in (0, 59, 60, len(expected) - 1):
        other = array("d", expected)
        other[at] += 0.01 * spot
        assert field.answers.difference(case, other, expected) == pytest.approx(0.01)
        other[at] = math.nan
        assert field.answers.difference(case, other, expected) == math.inf
    assert field.answers.difference(case, expected[:-1], expected) == math.inf
    gross = sum(map(abs, case["options"]["quantity"])) * spot
    assert field.answers.portfolio_difference(case, [1.0, 2.0], [1.0, 2.0 + gross]) == pytest.approx(1.0)
    assert field.answers.portfolio_difference(case, [1.0], [1.0, 2.0]) == math.inf


@pytest.fixture
def here(field: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The driver on a small case, with NumPy of this interpreter in place of an environment of its own."""
    monkeypatch.setattr(field.run, "CACHE", tmp_path)
    monkeypatch.setattr(field.rows, "state", lambda name: "pip: no such package" if name == "ore" else None)
    monkeypatch.setattr(field.rows, "python", lambda _: Path(sys.executable))
    monkeypatch.setitem(field.cases.SIZES, "european-1000x1000", SMALL)
    return field


COMMAND = ["--cases", "european-1000x1000", "--rows", "gpu_var_api_1", "gpu_var_run_1", "numpy", "ore_1", "--runs", "1"]


def test_the_driver_measures_and_writes(
    here: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results" / "field.json"
    assert here.run.main([*COMMAND, "--seconds", "1", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    rows = {row["key"]: row for row in result["cases"][0]["rows"]}
    assert result["schema"] == 2
    assert rows["ore_1"]["status"] == "pip: no such package"
    for key in ("gpu_var_api_1", "numpy"):
        assert rows[key]["status"] == "ok"
        assert rows[key]["difference"] < 1e-12
        assert rows[key]["portfolio_difference"] < 1e-12
        assert rows[key]["whole"]["median"] > rows[key]["net"]["median"]
    assert rows["gpu_var_api_1"]["var"] == pytest.approx(rows["numpy"]["var"], rel=1e-9)
    assert rows["gpu_var_run_1"]["stages"]["revalue"]["runs"] == 1
    printed = capsys.readouterr().out
    assert "NumPy script" in printed
    assert "no such package" in printed


def test_another_answer_is_said_and_ends_with_1(
    here: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(here.answers.TOLERANCE, "european", -1.0)
    command = [*COMMAND[:3], "numpy", "--runs", "1", "--out", str(tmp_path / "field.json")]
    assert here.run.main(command) == 1
    capsys.readouterr()
    (row,) = json.loads((tmp_path / "field.json").read_text())["cases"][0]["rows"]
    assert row["status"].startswith("another answer: max |Δ|/S is")


def row(key: str, **more: Any) -> dict[str, Any]:
    one = {"median": 2.0, "lower": 1.0, "upper": 3.0, "least": 1.0, "runs": 5}
    base = {"key": key, "label": key, "threads": 1, "status": "ok", "version": "1", "difference": 1e-9, "rate": 1e6}
    rest = {"net": one, "whole": one, "start_up": 1.0, "peak_mb": 50.0, "lines": {"once": 3, "data": 40}}
    return base | rest | more


def test_some_figures_may_be_measured_again(
    here: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "field.json"
    only = [*COMMAND[:2], "--runs", "1", "--out", str(out)]
    assert here.run.main([*only, "--rows", "gpu_var_run_1", "numpy"]) == 0
    before = json.loads(out.read_text())
    assert here.run.main([*only, "--rows", "numpy", "--revaluations", "--keep"]) == 0
    capsys.readouterr()
    after = json.loads(out.read_text())
    assert [run["command"].split()[-1] for run in after["runs"]] == ["numpy", "--keep"]
    (old,), (new,) = before["cases"], after["cases"]
    (run, numpy), (same, again) = old["rows"], new["rows"]
    assert same == run
    assert (numpy["run"], again["run"]) == (0, 1)
    assert again["whole"] == numpy["whole"]
    assert again["net"] != numpy["net"]
    with pytest.raises(ValueError, match="another size"):
        here.run.together(after["cases"], new | {"options": 3})


def test_claims_are_ratios_and_are_met_or_not(field: SimpleNamespace) -> None:
    def case(peer: float) -> list[dict[str, Any]]:
        rows = [row("gpu_var_api_1", rate=30e6), row("ore_1", rate=peer)]
        return [{"name": "x", "exercise": "european", "options": 1000, "scenarios": 1000, "rows": rows}]

    (claim,) = field.claims.of(case(0.2e6))
    assert claim["ratio"] == pytest.approx(150.0)
    assert claim["met"]
    (claim,) = field.claims.of(case(0.5e6))
    assert claim["ratio"] == pytest.approx(60.0)
    assert not claim["met"]


def test_american_options_are_compared_at_equal_accuracy(field: SimpleNamespace) -> None:
    rows = [
        row("gpu_var_api_1", rate=5e6, difference=1e-6),
        row("quantlib_qdfp_fast", rate=50e3, difference=1e-5),
        row("quantlib_qdfp_accurate", rate=20e3, difference=1e-7),
    ]
    (claim,) = field.claims.of([{"name": "x", "exercise": "american", "options": 1000, "rows": rows}])
    assert claim["rows"] == ["gpu_var_api_1", "quantlib_qdfp_accurate"]
    assert claim["ratio"] == pytest.approx(250.0)


def test_the_table_shows_every_row(field: SimpleNamespace) -> None:
    rows = [row("one"), row("two", status="pip: [no] such package"), row("three", rate=None, net=None, whole=None)]
    case = {"name": "small", "exercise": "european", "options": 1000, "scenarios": 10, "rows": rows}
    console = Console(width=200)
    with console.capture() as captured:
        field.table.show({"cases": [case], "claims": []}, console)
    text = captured.get()
    assert "1.000" in text
    assert "two: pip: [no] such" in text
    assert "three" in text


def test_lines_of_input_are_counted(field: SimpleNamespace, case: dict[str, Any], tmp_path: Path) -> None:
    inputs = field.run.Inputs(case, tmp_path / "full", [1])
    of = field.lines.of
    ours = of("gpu-var run", case, inputs.book, None)
    assert ours["data"] == 61 + 61 + 14  # instruments, positions, history, each with its header
    assert ours["once"] == 7 + 2 + 2 + 1  # margin.toml, underlyings, rates, the command
    theirs = of("peer_ore.py", case, inputs.book, inputs.ore[1])
    assert theirs["data"] > 60 * 24  # a trade's lines
    script = of("peer_numpy.py", case, inputs.book, None)
    assert script["data"] == 60 + 13
    assert 20 < script["once"] < 60


def test_a_difference_that_is_not_known_to_a_quarter_is_no_rate(field: SimpleNamespace) -> None:
    # 1.57 · 0.1 / √16 = 0.03925, and a quarter of 0.2 is 0.05; with four runs 0.0785.
    sound = {"median": 0.2, "lower": 0.15, "upper": 0.25, "runs": 16}
    assert field.run.net_rate(1_000_000, sound) == pytest.approx(5e6)
    assert field.run.net_rate(1_000_000, sound | {"runs": 4}) is None
    assert field.run.net_rate(1_000_000, sound | {"median": 0.15}) is None
    assert field.run.net_rate(1_000_000, {"median": 0.2, "lower": 0.2, "upper": 0.2, "runs": 1}) is None
    assert field.run.net_rate(1_000_000, {"median": -0.1, "lower": -0.1, "upper": -0.1, "runs": 16}) is None


def test_our_calls_are_timed_in_turn_with_those_of_few_scenarios(
    here: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "field.json"
    assert here.run.main([*COMMAND[:3], "gpu_var_api_1", "--runs", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    (row,) = json.loads(out.read_text())["cases"][0]["rows"]
    assert row["net"]["runs"] == row["call"]["runs"] == 10
    assert row["whole"]["runs"] == 2
    assert row["net"]["median"] < row["call"]["median"]
