"""The map of two moves over a book, and what is wrong with the keys of [close_out] and [reverse]."""

from pathlib import Path

import numpy as np
import pytest
from stress.breaking_books import CONFIG, covariance, exposed, shares

from gpu_var.stress.house import house_of
from gpu_var.stress.reverse_map import map_faults, reverse_map
from gpu_var.tables.config_close_out import CloseOut, Reverse
from gpu_var.tables.config_stress_test import Resources
from gpu_var.tables.findings import Findings
from gpu_var.tables.stress_file import load_stress_file

SPOTS = {"A": 50.0, "B": 20.0}


def mapped(e, rules: Resources | None = None, **keys):
    return reverse_map(e, house_of(e.measured.book), rules or Resources(), Reverse.model_validate(keys))


def test_a_linear_book(tmp_path: Path):
    """Long 100 A and 100 B: the loss is 5000·x + 2000·y, so that layers are exhausted on straight lines."""
    e = exposed(shares(tmp_path / "b", {"m": {"A": 100.0, "B": 100.0}}, SPOTS, {"m": 300.0, "n": 200.0}))
    found = mapped(e, Resources(own=100.0), map=["spot:A", "spot:B"], map_range=[[-0.4, 0.2], [-0.5, 0.5]], points=13)
    f = found.frontier
    loss = -5000.0 * f.x - 2000.0 * f.y[:, None]
    margin = float(e.margin[0])
    assert f.shortfall == pytest.approx(np.maximum(loss - margin, 0.0), abs=1e-9)
    beyond = margin + np.array([0.0, 300.0, 400.0, 600.0, 600.0, 800.0])
    assert (f.reached == (loss[:, :, None] > beyond).sum(axis=2)).all()
    assert {layer for layer, _ in f.lines} == set(range(6))
    for layer, points in f.lines:
        assert np.abs(-5000 * points[:, 0] - 2000 * points[:, 1] - beyond[layer]).max() < 5000 * 0.05 / 32
    rows = found.table().to_pylist()
    grid = [row for row in rows if row["line"] is None]
    assert len(grid) == 169
    assert (grid[1]["x"], grid[1]["y"]) == (f.x[1], f.y[0])
    assert grid[0]["layer"] == "uncovered"
    assert grid[-1] == {"line": None, "x": 0.2, "y": 0.5, "layer": "margin", "shortfall": 0.0}
    on_lines = [row for row in rows if row["line"] is not None]
    assert [row["line"] for row in on_lines] == sorted(row["line"] for row in on_lines)
    assert {row["layer"] for row in on_lines} == {"margin", "contribution", "own", "fund", "own_after", "assessments"}
    assert found.summary() == {"x": "spot:A", "y": "spot:B", "revaluations": found.revaluations}


def test_what_both_patterns_match_moves_by_the_second(tmp_path: Path):
    e = exposed(shares(tmp_path / "b", {"m": {"A": 100.0, "B": 100.0}}, SPOTS))
    both = mapped(e, map=["spot:*", "spot:B"], map_range=[[-0.4, 0.2], [-0.5, 0.5]], points=5)
    apart = mapped(e, map=["spot:A", "spot:B"], map_range=[[-0.4, 0.2], [-0.5, 0.5]], points=5)
    assert both.frontier.shortfall.tolist() == apart.frontier.shortfall.tolist()


def test_the_ends_of_the_axes_unless_given(tmp_path: Path):
    """Twelve standard deviations either way."""
    folder = shares(tmp_path / "b", {"m": {"A": 100.0, "B": 1.0}}, SPOTS)
    f = mapped(exposed(folder), map=["spot:A", "spot:B"], points=3).frontier
    sigma = np.sqrt(np.diag(covariance(folder, ["spot:A", "spot:B"])))
    assert [f.x[-1], f.y[-1]] == pytest.approx(12 * sigma)
    assert [f.x[0], f.y[0]] == pytest.approx(-12 * sigma)
    log = shares(tmp_path / "log", {"m": {"A": 100.0, "B": 1.0}}, SPOTS, config=CONFIG.replace('"simple"', '"log"'))
    f = mapped(exposed(log), map=["spot:A", "spot:B"], points=3).frontier
    assert (1 + f.x[0]) * (1 + f.x[-1]) == pytest.approx(1.0)


def test_no_map(tmp_path: Path):
    e = exposed(shares(tmp_path / "b", {"m": {"A": 100.0}}, SPOTS))
    assert mapped(e) is None
    assert mapped(e, map=["spot:A", "iv:*"]) is None


def test_faults_of_a_map(tmp_path: Path):
    factors = exposed(shares(tmp_path / "b", {"m": {"A": 1.0, "B": 1.0}}, SPOTS)).measured.factors
    overlap = Reverse.model_validate({"map": ["spot:A", "spot:*"]})
    assert [key for key, _ in map_faults(overlap, factors)] == ["reverse.map"]
    low = Reverse.model_validate({"map": ["spot:A", "spot:B"], "map_range": [[-0.5, 1], [-1.0, 0]]})
    ((key, text),) = map_faults(low, factors)
    assert key == "reverse.map_range"
    assert text == "-1 of 'spot:B' leaves nothing of spot:B; expected a relative change > -1"


BOUNDS = [
    ("close_out", "participation", (1e-9, 1.0), (0.0, 1.01)),
    ("close_out", "impact_scale", (0.0, 100.0), (-0.1, 100.1)),
    ("close_out", "risk_weight", (0.0, 100.0), (-0.1, 100.1)),
    ("close_out", "lag_days", (0, 60), (-1, 61)),
    ("close_out", "horizon_days", (1, 60), (0, 61)),
    ("close_out", "auction_days", (1, 60), (0, 61)),
    ("close_out", "auction_discount", (0.0, 10.0), (-0.1, 10.1)),
    ("reverse", "limit", (1.0, 40.0), (0.9, 40.1)),
    ("reverse", "evaluations", (5_000, 10_000_000), (4_999, 10_000_001)),
    ("reverse", "points", (3, 201), (2, 202)),
]


def said(folder: Path, text: str) -> list[str]:
    """What is found in a file of scenarios."""
    path = folder / "scenarios.toml"
    path.write_text(text)
    findings = Findings()
    load_stress_file(path, findings)
    return [line for line in findings.errors if ", key " in line]


@pytest.mark.parametrize(("table", "key", "good", "bad"), BOUNDS)
def test_the_least_and_the_greatest_value_of_each_key(tmp_path, table, key, good, bad):
    for value in good:
        assert said(tmp_path, f"[{table}]\n{key} = {value}\n") == []
    for value in bad:
        (line,) = said(tmp_path, f"[{table}]\n{key} = {value}\n")
        assert f"key {table}.{key}" in line


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[close_out]\nhedge_days = 9", "close_out.auction_days", "5 is before the hedge is done"),
        ("[close_out]\nhedge_days = 61\nauction_days = 60", "close_out.hedge_days", "1 to 60"),
        ("[close_out]\nturnover_days = 100.0", "close_out.turnover_days", "goes with impact = 'almgren' only"),
        ("[close_out]\nimpact = 'almgren'\nturnover_days = 0.5", "close_out.turnover_days", "1 to 100,000"),
        ("[close_out]\nimpact = 'linear'", "close_out.impact", "'square_root' or 'almgren'"),
        ("[close_out]\nclients = 'kept'", "close_out.clients", "'closed' or 'ported'"),
        ("[close_out]\npace = 'fast'", "close_out.pace", "'participation' or 'least_cost'"),
        ("[close_out]\nhorizon = 3", "close_out.horizon", "the nearest known one is 'horizon_days'"),
        ("[reverse]\nlayer = 'funds'", "reverse.layer", "'fund'"),
        ("[reverse]\nlayer = []", "reverse.layer", "or a list of them"),
        ("[reverse]\nfactors = 'sport:*'", "reverse.factors", "the nearest kind of factor is 'spot:'"),
        ("[reverse]\nmap = ['spot:*']", "reverse.map", "has 1 pattern;"),
        ("[reverse]\nmap = ['spot:*', 'spot:*']", "reverse.map", "twice"),
        ("[reverse]\nmap_range = [[0, 1], [0, 1]]", "reverse.map_range", "goes with map only"),
        ("[reverse]\nmap = ['spot:*', 'iv:*']\nmap_range = [[1, 0], [0, 1]]", "reverse.map_range", "does not ascend"),
    ],
)
def test_what_does_not_fit(tmp_path, text, key, words):
    (line,) = said(tmp_path, text)
    assert f"key {key}" in line
    assert words in line


def test_defaults():
    assert CloseOut() == CloseOut.model_validate({"impact": "square_root", "horizon_days": 20})
    assert Reverse() == Reverse.model_validate({"layer": ["fund"], "factors": "*", "map": []})
    one = Reverse.model_validate({"map": ["spot:*", "rate:*"], "map_range": [[-0.5, 0.5], [-0.01, 0.02]]})
    assert one.map_range == ((-0.5, 0.5), (-0.01, 0.02))
