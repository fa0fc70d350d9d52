"""What bench/gpu.sh runs works without a GPU up to the device: its cases, its house, its messages."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernels.host.device import HostDevice

from gpu_var import cuda

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.syspath_prepend(str(BENCH / "benchmarks"))


def test_each_case_launches(host: HostDevice) -> None:
    import gpu_kernels  # noqa: PLC0415

    cases = gpu_kernels.revalue_cases(cuda, 5, 40) | gpu_kernels.other_cases(cuda, 2000)
    for name, (f, elements, needs) in cases.items():
        f()
        assert elements > 0, name
        assert set(needs) <= {"fma_fp64", "fma_fp32", "special_fp32", "copy", "copy_l2"}
    assert {"draw", "correlate", "normals", "filter_ewma"} <= set(host.launches)


def test_a_small_house_on_both_backends(host: HostDevice) -> None:
    import house_in_memory as h  # noqa: PLC0415

    whole = h.house(60, 40, 8, 200, underlyings=2)
    sample = h.in_scenarios(h.of_accounts(whole, 5), 30)
    expected = h.run(sample, "cpu", 1)
    assert expected.pnl.shape == (5, 30)
    for precision, budget in (("float64", 1e-9), ("float32", 1e-5)):
        got = h.run(sample, "cuda", 1, precision)
        np.testing.assert_allclose(got.tail.es, expected.tail.es, rtol=budget)
        np.testing.assert_allclose(got.tail.var, expected.tail.var, rtol=budget)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="with CuPy the command may find a device")
def test_without_a_device_the_command_says_what_is_missing() -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([BENCH / "gpu.sh"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "the package cupy is not installed" in done.stdout
    assert not done.stderr
