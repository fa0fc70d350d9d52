"""kernels/aggregate.cu against the reference, bit for bit."""

import importlib
import platform
from typing import Any

import numpy as np
import pytest
from kernels.host.device import HostDevice

import cpu_reference
from cpu_reference.aggregate import Holdings
from gpu_var.cuda.device import current

twin = importlib.import_module("gpu_var.cuda.aggregate")  # the module: the package exports its function by that name

FUSED = platform.machine() not in ("x86_64", "AMD64")
"""Where SciPy's compiler may have fused products and sums."""


def random_holdings(rng: np.random.Generator, n_cells: int, n_instruments: int, mean: float) -> Holdings:
    """Holdings of some of the cells, about `mean` each, now and then none."""
    cell = np.flatnonzero(rng.random(n_cells) < 0.7)
    count = np.minimum(rng.poisson(mean, len(cell)), n_instruments)
    start = np.concatenate([[0], np.cumsum(count)])
    instrument = [np.sort(rng.choice(n_instruments, c, replace=False)) for c in count]
    held = np.concatenate([*instrument, np.zeros(0, dtype=np.intp)]).astype(np.intp)
    return Holdings(cell, start, held, np.round(rng.normal(0, 50, len(held)), int(rng.integers(0, 6))))


def one_after_another(holdings: Holdings, pnl: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The sums as the kernel's head comment promises them."""
    out = out.copy()
    for row, cell in enumerate(holdings.cell):
        total = np.zeros(out.shape[1])
        for h in range(holdings.start[row], holdings.start[row + 1]):
            total += holdings.quantity[h] * pnl[holdings.instrument[h]].astype(np.float64)
        out[cell] += total
    return out


def bits(x: np.ndarray) -> np.ndarray:
    """Bits of float64, every NaN the same."""
    return np.where(np.isnan(x), np.nan, x).view(np.int64)


def check_aggregate(holdings: Holdings, pnl: np.ndarray, wide: np.ndarray, first: int, *, ahead: bool = False) -> None:
    """Both backends on `wide[:, first : first + n_scenarios]`, a block of a matrix on the current device.

    Args:
        ahead: upload the holdings before.
    """
    device = current()
    block = slice(first, first + pnl.shape[1])
    expected = wide.copy()
    with np.errstate(invalid="ignore", over="ignore"):
        explicit = one_after_another(holdings, pnl, wide[:, block])
        cpu_reference.aggregate(holdings, pnl, expected[:, block])
    on_device: Any = device.xp.array(wide)
    twin.aggregate(twin.upload(holdings) if ahead else holdings, device.upload(pnl), on_device[:, block])
    got = device.download(on_device)
    np.testing.assert_array_equal(bits(got[:, block]), bits(explicit))
    np.testing.assert_array_equal(
        bits(np.delete(got, np.r_[block], axis=1)), bits(np.delete(wide, np.r_[block], axis=1))
    )
    if FUSED:
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-9)
    else:
        np.testing.assert_array_equal(bits(got), bits(expected))


def check_random(seed: int, largest: int = 300) -> None:
    """One random shape: cells, instruments and scenarios from none to beyond a block, holdings to beyond a stage."""
    rng = np.random.default_rng(seed)
    n_cells = int(rng.choice([0, 1, 2, 5]))
    n_instruments = int(rng.choice([1, 2, 63, 128, 129, 300]))
    n_scenarios = min(largest, int(rng.choice([0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257, 300])))
    held = random_holdings(rng, n_cells, n_instruments, float(rng.choice([0.3, 3.0, 0.9 * n_instruments])))
    pnl = rng.standard_t(3, (n_instruments, n_scenarios)).astype(rng.choice([np.float64, np.float32]))
    if pnl.size and seed % 5 == 0:
        special = np.array([np.inf, -np.inf, np.nan, -0.0, 5e-324, 1e38], dtype=pnl.dtype)
        pnl.flat[rng.integers(0, pnl.size, 4)] = rng.choice(special, 4)
    first, after = rng.integers(0, 4, 2)
    wide = rng.standard_normal((n_cells, first + n_scenarios + after))
    if seed % 3 == 0:
        wide[:] = -0.0
    wide[:, :first] = np.nan  # poison beside the block
    wide[:, first + n_scenarios :] = np.nan
    check_aggregate(held, pnl, wide, int(first), ahead=bool(seed % 2))


@pytest.mark.parametrize("enough", [0, 2048])
def test_random_shapes(host: HostDevice, monkeypatch: pytest.MonkeyPatch, enough: int) -> None:
    """With narrow blocks, and with few and with many scenarios a thread."""
    monkeypatch.setattr(twin, "THREADS", 32)
    monkeypatch.setattr(twin, "ENOUGH", enough)
    for seed in range(150):
        check_random(1000 * enough + seed)


@pytest.mark.parametrize("n_scenarios", [128, 511, 513, 1025])
def test_whole_blocks(host: HostDevice, monkeypatch: pytest.MonkeyPatch, n_scenarios: int) -> None:
    monkeypatch.setattr(twin, "ENOUGH", 0)
    rng = np.random.default_rng(n_scenarios)
    held = random_holdings(rng, 7, 200, 20.0)
    check_aggregate(held, rng.normal(size=(200, n_scenarios)), rng.normal(size=(7, n_scenarios)), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_stray_access_and_no_race(
    sanitized: HostDevice, monkeypatch: pytest.MonkeyPatch, dtype: type[np.floating]
) -> None:
    monkeypatch.setattr(twin, "THREADS", 32)
    monkeypatch.setattr(twin, "ENOUGH", 0)
    rng = np.random.default_rng(4)
    for n_instruments, n_scenarios, mean in ((1, 1, 1.0), (300, 67, 280.0), (129, 131, 3.0)):
        held = random_holdings(rng, 3, n_instruments, mean)
        pnl = rng.normal(size=(n_instruments, n_scenarios)).astype(dtype)
        check_aggregate(held, pnl, rng.normal(size=(3, n_scenarios + 5)), 3)
    assert sanitized.launches


def test_the_same_error_as_the_reference(host: HostDevice) -> None:
    held = Holdings(np.array([0]), np.array([0, 1]), np.array([0]), np.array([1.0]))
    said = []
    for backend in (cpu_reference.aggregate, twin.aggregate):
        with pytest.raises(ValueError, match="pnl has 4 scenarios, out has 3; expected the same") as raised:
            backend(held, np.zeros((1, 4)), np.zeros((1, 3)))
        said.append((raised.type, str(raised.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("pnl", "out", "error", "text"),
    [
        ([[0.0]], np.zeros((3, 1)), TypeError, "pnl is a builtins.list"),
        (np.zeros((5, 1), dtype=np.int64), np.zeros((3, 1)), TypeError, "pnl has dtype int64; expected float64"),
        (np.zeros((5, 1)), np.zeros((3, 1), dtype=np.float32), TypeError, "out has dtype float32; expected float64"),
        (np.zeros(5), np.zeros((3, 1)), ValueError, r"pnl has shape \(5,\); expected \(any, any\)"),
        (np.zeros((5, 2)), np.zeros((2, 3)).T, ValueError, "out is not C-contiguous"),
        (np.zeros((5, 2)), np.zeros((3, 2))[::-1], ValueError, "out has rows -16 bytes apart; expected at least 16"),
        (np.zeros((4, 1)), np.zeros((3, 1)), ValueError, "reach instrument 4, pnl has 4 instruments"),
        (np.zeros((5, 1)), np.zeros((2, 1)), ValueError, "reach cell 2, out has 2 cells"),
    ],
)
def test_bad_matrices(host: HostDevice, pnl: Any, out: Any, error: type[Exception], text: str) -> None:
    held = Holdings(np.array([0, 2]), np.array([0, 1, 2]), np.array([0, 4]), np.ones(2))
    with pytest.raises(error, match=text):
        twin.aggregate(held, pnl, out)
    assert not host.launches


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"start": np.array([0, 2])}, "have 2, 2, 2, 2 rows; expected n, n \\+ 1, m, m"),
        ({"quantity": np.ones(3)}, "have 2, 3, 2, 3 rows"),
        ({"start": np.array([0, 1, 3])}, "start is not ascending from 0 to 2"),
        ({"start": np.array([0, 3, 2])}, "start is not ascending from 0 to 2"),
        ({"start": np.array([1, 1, 2])}, "start is not ascending from 0 to 2"),
        ({"cell": np.array([1, 1])}, "cell is not ascending"),
        ({"cell": np.array([-1, 1])}, "cell is not ascending"),
        ({"instrument": np.array([0, -1])}, "name instrument -1; expected 0 or more"),
        ({"instrument": np.array([0, 1 << 31])}, "expected 32-bit numbers"),
    ],
)
def test_bad_holdings(host: HostDevice, change: dict[str, Any], text: str) -> None:
    held = Holdings(np.array([0, 2]), np.array([0, 1, 2]), np.array([0, 4]), np.ones(2))
    with pytest.raises(ValueError, match=text):
        twin.upload(held._replace(**change))


def test_rows_are_added(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of column blocks, with values that are no numbers, and a few rows at a time; the rest stays as it is."""
    monkeypatch.setattr(importlib.import_module("cpu_reference.aggregate"), "MEASURED", 100)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((7, 60))
    values[2, 30:34] = np.nan, np.inf, -np.inf, -0.0
    before = rng.standard_normal((12, 50))
    rows = np.array([0, 1, 4, 5, 8, 9, 11])
    after = before.copy()
    for i, row in enumerate(rows):
        after[row, 5:45] += values[i, 10:50]
    for backend in (cpu_reference, twin):
        got = before.copy()
        backend.add_rows(rows, values[:, 10:50], got[:, 5:45])
        np.testing.assert_array_equal(bits(got), bits(after))
        backend.add_rows(rows[:0], values[:0, 10:50], got[:, 5:45])
        np.testing.assert_array_equal(bits(got), bits(after))


def test_rows_that_come_more_than_once_are_summed(host: HostDevice) -> None:
    """In their order, wherever they stand; then added."""
    rng = np.random.default_rng(1)
    values, before = rng.standard_normal((9, 40)), rng.standard_normal((6, 40))
    rows = np.array([4, 0, 4, 5, 0, 4, 2, 0, 5])
    after = before.copy()
    for row in np.unique(rows):
        total = np.zeros(40)
        for i in np.flatnonzero(rows == row):
            total += values[i]
        after[row] += total
    for backend in (cpu_reference, twin):
        got = before.copy()
        backend.add_rows(rows, values, got)
        np.testing.assert_array_equal(bits(got), bits(after))
