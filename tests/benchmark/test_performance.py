"""The performance page is made of measurements alone, and of the same bytes for the same ones."""

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def performance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("performance", BENCH / "performance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timing(median: float, runs: int = 20) -> dict[str, float]:
    return {"median": median, "lower": 0.9 * median, "upper": 1.2 * median, "runs": runs}


def function(name: str, seconds: float, binds: str = "fma_fp64") -> dict[str, Any]:
    return {
        "function": name,
        "elements": 1_000_000,
        "needs": {"fma_fp64": 93.0, "copy": 8.0},
        "seconds": timing(seconds),
        "per_second": 1e6 / seconds,
        "binds": binds,
        "share": 0.125,
    }


def book(n: int, seconds: float, **more: Any) -> dict[str, Any]:
    size = {"instruments": n, "scenarios": 1000, "accounts": 100, "positions": 10 * n, "underlyings": 1}
    cpu = {"cold": 2 * seconds, "seconds": timing(seconds), "per_second": 1000 * n / seconds, "fewer_threads": {}}
    return size | {"revaluations": 1000 * n, "cpu": cpu | more}


@pytest.fixture
def bench() -> dict[str, Any]:
    return {
        "version": "9.9",
        "budget": 100.0,
        "machine": {
            "cpu": "A Processor",
            "threads": 4,
            "memory_gb": 32.0,
            "system": "Linux",
            "python": "3.12",
            "numpy": "2.4",
            "blas": "openblas",
        },
        "ceilings": {"cpu": {"fma_fp64": 2e10, "fma_fp32": 4e10, "copy": 2e10, "copy_l2": 1e11}},
        "functions": {"cpu": [function("revalue european", 0.04), function("filter", 0.02, "copy")]},
        "books": [
            book(1000, 0.5, fewer_threads={"1": timing(1.5), "2": timing(0.9)}),
            book(10_000, 2.0),
            book(10**6, 1.0) | {"cpu": {"skipped": "would take some 9 hours"}},
        ],
        "verdict": "These 4 threads do.",
    }


def test_every_figure_comes_from_the_measurement(
    performance: ModuleType, bench: dict[str, Any], tmp_path: Path
) -> None:
    text = performance.write(tmp_path, bench, None, []).read_text()
    assert "| 1,000 | 1,000 | 100 | 10,000 | 0.5 s (0.45 to 0.6, 20 runs) | 2 million | 1.5 s |" in text
    assert "| 1,000,000 | 1,000 | 100 | 10,000,000 | – (would take some 9 hours) | – | – |" in text
    assert (
        "| European options | 25 million | 20.8 million to 27.8 million, 20 runs | 12.5 % of double-precision" in text
    )
    assert "so this page has no GPU figure" in text
    assert "python bench/field/run.py" in text  # the section that is not there says how to make it
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"throughput.svg", "roofline.svg", "scaling.svg"}


def test_speed_is_relative_to_one_thread(performance: ModuleType, bench: dict[str, Any]) -> None:
    (only,) = performance.scaled(bench)
    assert only["speed"] == {1: 1.0, 2: pytest.approx(1.5 / 0.9), 4: pytest.approx(3.0)}


def test_the_field_and_a_gpu(performance: ModuleType, bench: dict[str, Any], tmp_path: Path) -> None:
    whole = {"median": 2.0, "lower": 1.9, "upper": 2.2, "runs": 5}
    good = {"key": "gpu_var_api_1", "label": "gpu-var", "version": "9.9", "threads": 1, "status": "ok"}
    good |= {
        "run": 0,
        "difference": 1e-15,
        "rate": 3e7,
        "whole": whole,
        "peak_mb": 170.0,
        "note": "timed in 3 scenarios",
    }
    absent = {
        "key": "ore_1",
        "label": "ORE",
        "version": None,
        "threads": 1,
        "status": "not installed",
        "note": None,
        "run": 0,
    }
    case = {"name": "european-10x10", "exercise": "european", "options": 10, "scenarios": 10, "rows": [good, absent]}
    claim = {"what": "ratio", "gpu_var": 3e7, "peer": 2e7, "ratio": 1.5, "wanted": 60, "met": False}
    runs = [{"command": "python bench/field/run.py", "date": "2026-01-01"}]
    field = {"runs": runs, "cases": [case], "claims": [claim]}
    device = {
        "device": {"gpu": "A Device"},
        "commit": "abc",
        "date": "2026-01-02",
        "book": {"instruments": 10, "scenarios": 10, "positions": 10, "accounts": 10},
        "house": {"float64_warm": {"seconds": 2.5, "per_second": 4e9}},
    }
    text = performance.write(tmp_path, bench, field, [device]).read_text()
    assert "| gpu-var 9.9 | 1 | 1.0e-15 | 30 million | 2 s (1.9 to 2.2, 5 runs) | 170 |" in text
    assert "| ORE  | 1 | not installed | | | |" in text
    assert "\ngpu-var: timed in 3 scenarios.\n\n![european-10x10]" in text
    assert "Measured again" not in text
    good["run"] = 1
    again = performance.write(tmp_path, bench, field, []).read_text()
    assert "\nMeasured again by a later command: gpu_var_api_1.\n" in again
    assert "| ratio | 30 million | 20 million | 1.5 | 60, missed |" in text
    assert "| float64, warm | 2.5 | 4 billion |" in text
    assert (tmp_path / "plots" / "european-10x10.svg").is_file()


def test_the_same_measurements_give_the_same_bytes(
    performance: ModuleType, bench: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        performance.write(tmp_path / name, copy.deepcopy(bench), None, [])
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_page_in_the_repository_is_that_of_its_measurements(performance: ModuleType, tmp_path: Path) -> None:
    measured = sorted((BENCH / "results").glob("*/bench.json"))
    if not (BENCH / "PERFORMANCE.md").exists():
        assert not measured
        return
    field = json.loads((BENCH / "results" / "field.json").read_text())
    devices = [json.loads(path.read_text()) for path in sorted((BENCH / "results").glob("nvidia-*.json"))]
    page = performance.write(tmp_path, json.loads(measured[0].read_text()), field, devices)
    assert page.read_text() == (BENCH / "PERFORMANCE.md").read_text()
