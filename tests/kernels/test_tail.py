"""kernels/tail.cu against the reference, bit for bit."""

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from kernels.host.device import HostDevice

import cpu_reference
from cpu_reference.tail import LANES
from gpu_var.cuda.device import current, use

twin = importlib.import_module("gpu_var.cuda.tail")  # the module: the package exports its function by that name

LEVELS = [0.0, 0.5, 0.9, 0.95, 0.975, 0.99, 0.997, 0.9999, 0.999999999999]


def bits(x: np.ndarray) -> np.ndarray:
    """Bits of a column, every NaN the same."""
    return x if x.dtype == np.intp else np.where(np.isnan(x), np.nan, x).view(np.int64)


def check_tail(losses: np.ndarray, level: float, first: int = 0) -> None:
    """Both backends on the same losses; on the device, within a matrix of NaNs with `first` more columns a side."""
    device = current()
    wide: Any = device.xp.full((len(losses), losses.shape[1] + 2 * first), np.nan)
    block = wide[:, first : first + losses.shape[1]]
    block[...] = device.upload(losses)
    got = twin.tail(block, level)
    expected = cpu_reference.tail(losses, level)
    for name, ours, theirs in zip(got._fields, got, expected, strict=True):
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(bits(ours), bits(theirs), err_msg=f"{name}, {losses.shape}, {level}")


def random_losses(rng: np.random.Generator, n_rows: int, n: int) -> np.ndarray:
    """Losses of a random kind, row by row: smooth, with ties, of one binade, of both zeros, of all magnitudes."""
    out = rng.standard_t(3, (n_rows, n)) * 10.0 ** rng.integers(-3, 8, (n_rows, 1))
    for row, kind in zip(out, rng.integers(0, 8, n_rows), strict=True):
        if kind == 0:
            row[:] = np.round(row / np.abs(row).max(initial=1e-300) * 3)  # -3…3, both zeros among them
        elif kind == 1:
            row[:] = rng.choice([0.0, -0.0, 1.0], n, p=[0.5, 0.49, 0.01])
        elif kind == 2:  # in the last digits only
            row[:] = (np.float64(-7.3).view(np.int64) + rng.integers(0, 3 * n, n)).view(np.float64)
        elif kind == 3:
            row[:] = np.ldexp(rng.choice([-1.0, 1.0], n) * rng.random(n), rng.integers(-1080, 400, n))
        elif kind == 4:
            row[:] = np.sort(row)[:: rng.choice([-1, 1])]
    return out


def check_random(seed: int, largest: int = 3000) -> None:
    """One random shape and level; some rows with infinities or NaNs, which must not touch the others."""
    rng = np.random.default_rng(seed)
    sizes = [1, 2, 3, 31, 32, 33, 250, 255, 256, 257, 500, 511, 513, 1000, 1023, 1024, 1025, 2049, largest]
    losses = random_losses(rng, int(rng.choice([0, 1, 2, 3])), int(rng.choice(sizes)))
    if losses.size and seed % 4 == 0:
        special = rng.choice([np.inf, -np.inf, np.nan], 2)
        losses[-1, rng.integers(0, losses.shape[1], 2)] = special
    check_tail(losses, float(rng.choice(LEVELS)), int(rng.integers(0, 3)))


@pytest.mark.parametrize("shared", [0, twin.ANY_DEVICE])
def test_random_shapes(host: HostDevice, monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    """Rows read from global memory, and rows in shared memory."""
    monkeypatch.setattr(twin, "ANY_DEVICE", shared)
    monkeypatch.setattr(twin, "_threads", lambda _rows, _n: 32)
    for seed in range(200):
        check_random(10 * shared + seed)
    assert set(host.launches) == {"tail_staged" if shared else "tail_streamed"}


@pytest.mark.parametrize(("threads", "n"), [(64, 777), (128, 2048), (512, 9000), (1024, 5000)])
def test_any_number_of_threads_gives_the_same_bits(
    host: HostDevice, monkeypatch: pytest.MonkeyPatch, threads: int, n: int
) -> None:
    monkeypatch.setattr(twin, "_threads", lambda _rows, _n: threads)
    check_tail(random_losses(np.random.default_rng(threads), 2, n), 0.99)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_many_scenarios(host: HostDevice, monkeypatch: pytest.MonkeyPatch, level: float) -> None:
    """So many near the quantile that two digits do not do, and ties of thousands."""
    monkeypatch.setattr(twin, "_threads", lambda _rows, _n: 32)
    rng = np.random.default_rng(8)
    smooth = 1.0 + 1e-4 * rng.random(60_000)
    check_tail(np.stack([smooth, np.round(smooth, 6), np.zeros(60_000)]), level)
    assert host.launches == ["tail_streamed"]


def test_what_the_launcher_chooses(host: HostDevice) -> None:
    """Threads are a power of two that divides the lanes; a row is staged where it fits."""
    for n in (1, 2048, 2049, 6144, 6145, 10240, 10241, 1_000_000):
        for n_rows in (1, 1000):
            assert LANES % twin._threads(n_rows, n) == 0
            assert twin._threads(n_rows, n) >= 32
    check_tail(np.arange(100.0)[None], 0.99)
    assert host.launches == ["tail_staged"]


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(0, 2), st.integers(1, 40)), elements=st.floats(width=64)),
    st.sampled_from(LEVELS),
)
def test_any_floats(losses: np.ndarray, level: float) -> None:
    with use(HostDevice()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin, "_threads", lambda _rows, _n: 32)
        check_tail(losses, level)


@pytest.mark.parametrize("shared", [0, twin.ANY_DEVICE])
def test_no_stray_access_and_no_race(sanitized: HostDevice, monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    monkeypatch.setattr(twin, "ANY_DEVICE", shared)
    monkeypatch.setattr(twin, "_threads", lambda _rows, n: 32 if n < 1000 else 64)
    rng = np.random.default_rng(9)
    for n_rows, n in ((1, 1), (2, 33), (3, 1025)):
        check_tail(random_losses(rng, n_rows, n), 0.95, first=1)
    check_tail(np.tile([-0.0, 0.0, 1.0], (2, 300)), 0.9)


def test_a_row_that_is_not_a_number_harms_no_other(host: HostDevice) -> None:
    losses = np.tile(np.arange(300.0), (3, 1))
    losses[1, [7, 200]] = np.nan
    got = twin.tail(losses, 0.99)
    alone = twin.tail(losses[::2].copy(), 0.99)
    for name, column, expected in zip(got._fields, got, alone, strict=True):
        np.testing.assert_array_equal(column[::2], expected)
        if name == "scenario":
            assert column[1] == 7
        else:
            assert np.isnan(column[1])


@pytest.mark.parametrize(("shape", "level"), [((1, 0), 0.99), ((1, 5), 1.0), ((1, 5), -0.1), ((1, 5), float("nan"))])
def test_the_same_error_as_the_reference(host: HostDevice, shape: tuple[int, int], level: float) -> None:
    said = []
    for backend in (cpu_reference.tail, twin.tail):
        with pytest.raises(ValueError, match="expected") as raised:
            backend(np.zeros(shape), level)
        said.append((raised.type, str(raised.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("losses", "error", "text"),
    [
        ([[1.0]], TypeError, "losses is a builtins.list"),
        (np.zeros((1, 5), dtype=np.float32), TypeError, "losses has dtype float32; expected float64"),
        (np.zeros(5), ValueError, r"losses has shape \(5,\)"),
        (np.zeros((5, 2)).T, ValueError, "losses is not C-contiguous"),
        (np.zeros((3, 2))[::-1], ValueError, "losses has rows -16 bytes apart"),
    ],
)
def test_bad_matrices(host: HostDevice, losses: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        twin.tail(losses, 0.99)
    assert not host.launches
