"""Devices that run the kernels without a GPU."""

import importlib
import shutil
from collections.abc import Iterator

import pytest
from kernels.budget import resources, table
from kernels.host.device import HostDevice
from kernels.host.separate import SeparateDevice

from cpu_reference.exercise import HOST
from gpu_var.cuda.device import use


@pytest.fixture(scope="session")
def compiler() -> None:
    """g++, without which the kernels cannot run on the host."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed; a C++20 compiler runs the kernels on the host")


@pytest.fixture
def reference_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit's thousands of exercise boundaries are solved by the reference: this rig would take minutes. Their kernels
    have tests of their own."""
    for name in ("revalue", "price"):
        monkeypatch.setattr(importlib.import_module(f"gpu_var.cuda.{name}"), "SOLVER", HOST)


@pytest.fixture
def host(compiler: None, reference_boundaries: None) -> Iterator[HostDevice]:
    """The plain host device, in use."""
    with use(HostDevice()) as device:
        assert isinstance(device, HostDevice)
        yield device


@pytest.fixture
def separate(compiler: None, reference_boundaries: None) -> Iterator[SeparateDevice]:
    """The host device whose arrays mix with NumPy's as little as CuPy's do, in use: for whole runs."""
    with use(SeparateDevice()) as device:
        assert isinstance(device, SeparateDevice)
        yield device


@pytest.fixture(params=["address", "thread"])
def sanitized(request: pytest.FixtureRequest, compiler: None, reference_boundaries: None) -> Iterator[HostDevice]:
    """The host device under Address- and UBSanitizer, and under ThreadSanitizer, in use."""
    with use(HostDevice(request.param)) as device:
        assert isinstance(device, HostDevice)
        yield device


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each kernel takes and what each function used of its budget (of this process: with xdist, nothing)."""
    for title, lines in (("kernels", resources()), ("error budgets", table())):
        if lines:
            terminalreporter.section(title)
            terminalreporter.write_line("\n".join(lines))
