"""What bench/gpu.sh runs works without a GPU up to the device: its cases, its house, its messages."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernels.host.device import HostDevice
from kernels.host.separate import SeparateDevice

from gpu_var import cuda
from gpu_var.benchmark import functions, plan
from gpu_var.benchmark import house as h
from gpu_var.benchmark.cases import other_cases, revalue_cases
from gpu_var.report import bench, bench_page

BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_each_case_launches(host: HostDevice) -> None:
    for precision in ("float64", "float32"):
        for case in revalue_cases(cuda, precision, 5, 40) + other_cases(cuda, precision, 2000):
            assert np.isfinite(cuda.to_host(case.run())).all(), case.name
            assert case.elements > 0, case.name
            assert set(case.needs) <= {"fma_fp64", "fma_fp32", "special_fp32", "copy", "copy_l2"}
    assert {"correlate", "normals", "filter_ewma"} <= set(host.launches)


@pytest.mark.parametrize(("underlyings", "rates"), [(2, False), (15, False), (4, True)])
def test_a_small_house_on_both_backends(separate: SeparateDevice, underlyings: int, rates: bool) -> None:
    whole = h.house(60, 40, 8, 200, underlyings=underlyings, rates=rates)
    sample = h.in_scenarios(h.of_accounts(whole, 5), 30)
    expected = h.run(sample, "cpu", 1)
    assert expected.pnl.shape == (5, 30)
    for precision, budget in (("float64", 1e-9), ("float32", 1e-5)):
        got = h.run(sample, "cuda", 1, precision)
        np.testing.assert_allclose(got.tail.es, expected.tail.es, rtol=budget)
        np.testing.assert_allclose(got.tail.var, expected.tail.var, rtol=budget)


def test_a_small_house_is_valued_on_both_backends(separate: SeparateDevice) -> None:
    whole = h.house(60, 5, 8, 200, underlyings=2)
    (_, expected), (_, got) = (h.value(whole, name, 2) for name in ("cpu", "cuda"))
    for name, ours, theirs in zip(expected._fields, got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=name)
    assert np.isfinite(got.price).all()


def test_the_benchmark_of_both_sides(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "SHAPES", {"cpu": (6, 40), "cuda": (6, 40)})
    monkeypatch.setattr(functions, "_OTHERS", {"cpu": 2000, "cuda": 2000})
    sizes = (plan.Size(40, 30, 4, 100, 1), plan.Size(80, 30, 4, 200, 1))
    told: list[str] = []
    result = plan.bench(2, "a processor", lambda what, _share: told.append(what), budget=60.0, sizes=sizes)
    assert all(told.count(f"80 instruments in 30 scenarios, {side}") > 2 for side in ("CPU", "GPU"))  # once a run
    assert set(result["functions"]) == {"cpu", "cuda", "cuda_float32"}
    errors = {row["function"]: row["largest_error"] for row in result["functions"]["cuda"]}
    assert max(errors[f"revalue {style}"] for style in ("european", "bachelier", "american")) < 1e-9
    assert "no_gpu" not in result
    for row in result["books"]:
        assert row["largest_difference"] < 1e-9
        gpu = row["cuda"]
        assert 0 < gpu["kernels"] < gpu["watched"]
        assert 0 < gpu["transfers"] < gpu["watched"]
        assert {name.split(".")[0] for name in gpu["by_kernel"]} == {"revalue", "aggregate", "tail"}
    page = bench_page.render(result)
    assert "GPU, float32" in page
    bench.show(result)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="with CuPy the command may find a device")
def test_without_a_device_the_command_says_what_is_missing() -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([BENCH / "gpu.sh"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "the package cupy is not installed" in done.stdout
    assert not done.stderr
