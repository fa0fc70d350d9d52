"""The host rig runs CUDA as written, and catches what is planted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kernels.host.build import BuildError, build
from kernels.host.device import HostDevice, SanitizerError
from kernels.host.separate import SeparateDevice

from gpu_var.cuda import device as cuda

pytestmark = pytest.mark.usefixtures("compiler")

PLANTED = Path(__file__).parent / "host" / "planted"


def total(device: HostDevice, function: str, n: int = 64) -> float:
    """Launch one of the sums of planted/sums.cu."""
    x, out = np.arange(1.0, n + 1), np.full(1, np.nan)
    device.launch("sums", function, (1,), (64,), (x, np.int32(n), out), shared_bytes=64 * 8)
    return float(out[0])


@pytest.mark.parametrize("kind", ["plain", "address", "thread"])
def test_a_sound_kernel_runs_in_every_build(kind: str) -> None:
    assert total(HostDevice(kind, PLANTED), "sum") == 64 * 65 / 2
    assert total(HostDevice(kind, PLANTED), "sum", n=50) == 50 * 51 / 2


def test_launches_of_several_threads_do_not_meet() -> None:
    device = HostDevice(folder=PLANTED)
    total(device, "sum")
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda n: total(device, "sum", n), range(1, 65)))
    assert sums == [n * (n + 1) / 2 for n in range(1, 65)]


def test_arrays_apart_from_the_hosts_mix_with_none_of_them() -> None:
    device = SeparateDevice(folder=PLANTED)
    host = np.arange(3.0)
    array = device.upload(host)
    host[0] = 7.0
    assert (device.download(array + 1.0) == [1.0, 2.0, 3.0]).all()
    assert (device.download(-array[1:]) == [-1.0, -2.0]).all()
    assert float(array.sum()) == 3.0
    assert np.isnan(device.download(device.xp.empty(2))).all()
    for mixed in (
        lambda: array + host,
        lambda: host * array,
        lambda: np.asarray(array),
        lambda: np.stack([array, array]),
        lambda: np.where(array > 0, array, host),
        lambda: array.__setitem__(0, host[0:1]),
        lambda: array[np.array([0, 1])],
        lambda: device.download(host),
        lambda: device.upload(array),
        lambda: bool(array > 0),
    ):
        with pytest.raises(TypeError):
            mixed()


def test_functions_of_arrays_apart_are_those_of_cupy() -> None:
    """As in cupy/_sorting (14.2): no other kind of sort, no arrays of the host."""
    device = SeparateDevice(folder=PLANTED)
    array = device.upload(np.array([2, 1, 1]))
    assert device.download(device.xp.argsort(array, kind="stable")).tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match="kind can only be None or 'stable'"):
        device.xp.argsort(array, kind="quicksort")
    ascending = device.upload(np.array([1, 1, 2]))
    assert device.download(device.xp.searchsorted(ascending, array, side="right")).tolist() == [3, 2, 2]
    for a, v in ((ascending, np.array([1])), (ascending, [1]), (np.array([1]), ascending)):
        with pytest.raises(NotImplementedError):
            device.xp.searchsorted(a, v)
    assert device.download(device.xp.flatnonzero(array > 1)).tolist() == [0]
    with pytest.raises(TypeError):
        device.xp.flatnonzero(np.array([True]))
    with pytest.raises(AttributeError, match="if CuPy has it, add it here"):
        device.xp.diff(array)


def test_missing_barriers_are_a_race() -> None:
    with pytest.raises(SanitizerError, match=r"data race[\s\S]*sums\.cu"):
        total(HostDevice("thread", PLANTED), "sum_race")


@pytest.mark.parametrize(
    ("function", "report"),
    [
        ("read_past", r"heap-buffer-overflow[\s\S]*READ of size 8[\s\S]*sums\.cu"),
        ("write_past", r"heap-buffer-overflow[\s\S]*WRITE of size 8[\s\S]*sums\.cu"),
        ("static_past", r"sums\.cu:\d+(:\d+)?: runtime error: index \d+ out of bounds"),
        ("misaligned", r"sums\.cu[\s\S]*misaligned address"),
        ("overflow", r"sums\.cu[\s\S]*signed integer overflow"),
    ],
)
def test_an_access_out_of_bounds_is_caught(function: str, report: str) -> None:
    n = 64 if function != "overflow" else 65_536
    with pytest.raises(SanitizerError, match=report):
        HostDevice("address", PLANTED).launch(
            "sums", function, (1,), (64 if n == 64 else 1,), (np.zeros(64), np.int32(n), np.zeros(64))
        )


def test_less_shared_memory_than_used_is_caught() -> None:
    with pytest.raises(SanitizerError, match="heap-buffer-overflow"):
        HostDevice("address", PLANTED).launch(
            "sums", "sum", (1,), (64,), (np.zeros(64), np.int32(64), np.zeros(1)), shared_bytes=63 * 8
        )


@pytest.mark.parametrize("kind", ["plain", "address", "thread"])
@pytest.mark.parametrize(("function", "dtype"), [("warp_sum_f64", np.float64), ("warp_sum_f32", np.float32)])
def test_warp_functions(kind: str, function: str, dtype: type) -> None:
    x, votes = np.arange(64, dtype=dtype), np.zeros(1, np.int32)
    HostDevice(kind, PLANTED).launch("sums", function, (1,), (64,), (x, votes))
    np.testing.assert_array_equal(x, np.repeat([496.0, 1520.0], 32))
    assert votes[0] == 32


def test_blocks_and_threads_have_their_places() -> None:
    out = np.full((2, 3, 4, 6), -1, np.int32)
    HostDevice(folder=PLANTED).launch("sums", "where", (4, 3, 2), (3, 3), (out,))
    z, y, x = np.meshgrid(*map(np.arange, (2, 3, 4)), indexing="ij")
    np.testing.assert_array_equal(out, np.broadcast_to((100 * z + 10 * y + x)[..., None], out.shape))


def test_an_empty_grid_runs_nothing() -> None:
    out = np.full(1, np.nan)
    HostDevice(folder=PLANTED).launch("sums", "sum", (0,), (64,), (np.zeros(1), np.int32(1), out))
    assert np.isnan(out[0])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.zeros(1), np.int64(1), np.zeros(1)), "argument 1 of sums.sum is i8; expected i4"),
        ((np.zeros(1, np.float32), np.int32(1), np.zeros(1)), r"argument 0 of sums.sum is \*f4; expected \*f8"),
        ((np.zeros(1), 1, np.zeros(1)), "argument 1 of sums.sum is a int; expected"),
        ((np.zeros(1), np.int32(1)), "takes 3 arguments, got 2"),
        ((np.zeros(4)[::2], np.int32(1), np.zeros(1)), "argument 0 of sums.sum is not C-contiguous"),
    ],
)
def test_arguments_are_checked_against_the_parameters(args: tuple[object, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        HostDevice(folder=PLANTED).launch("sums", "sum", (1,), (64,), args)


def test_an_unknown_kernel_and_one_that_does_not_compile_say_so(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match=r"kernels/sums\.cu has no kernel nothing"):
        HostDevice(folder=PLANTED).launch("sums", "nothing", (1,), (1,), ())
    (tmp_path / "part.cuh").write_text("#pragma once\ninline int one() { return 1 }\n")
    (tmp_path / "broken.cu").write_text('// head\n#include "part.cuh"\n#include "part.cuh"\n')
    with pytest.raises(BuildError, match=r"kernels/part\.cuh:2:"):
        build("broken", "plain", tmp_path)


def test_current_is_the_device_in_use(host: HostDevice) -> None:
    inner = HostDevice()
    with cuda.use(inner):
        assert cuda.current() is inner
    assert cuda.current() is host
    assert cuda.unavailable() is None


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        ([1.0], TypeError, r"x is a builtins\.list; expected a numpy\.ndarray"),
        (np.zeros((2, 3), np.float32), TypeError, "x has dtype float32; expected float64"),
        (np.zeros((2, 4)), ValueError, r"x has shape \(2, 4\); expected \(any, 3\)"),
        (np.zeros(3), ValueError, r"x has shape \(3,\); expected \(any, 3\)"),
        (np.zeros((3, 2)).T, ValueError, "x is not C-contiguous"),
    ],
)
def test_check_array(host: HostDevice, array: object, error: type[Exception], message: str) -> None:
    cuda.check_array("x", np.zeros((2, 3)), np.float64, (None, 3))
    with pytest.raises(error, match=message):
        cuda.check_array("x", array, np.float64, (None, 3))


def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda.importlib.util, "find_spec", no_module)
    with pytest.raises(RuntimeError, match=r"cupy is not installed; install gpu-var\[cuda13\].*gpu-var\[cuda12\]"):
        cuda.CudaDevice()


no_module: Callable[..., None] = lambda *_: None  # noqa: E731


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("cudaErrorNoDevice: no CUDA-capable device is detected", "no CUDA device is visible; expected at least one"),
        ("cudaErrorInsufficientDriver: ...", "no NVIDIA driver, or one too old .* install a driver, or the other"),
        ("cudaErrorUnknown: ...", "the CUDA driver does not answer .*cudaErrorUnknown"),
    ],
)
def test_what_a_cuda_error_means(error: str, message: str) -> None:
    class FailureError(Exception):
        pass

    def refuse() -> int:
        raise FailureError(error)

    runtime = SimpleNamespace(CUDARuntimeError=FailureError, getDeviceCount=refuse)
    fake = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda.importlib.util, "find_spec", lambda _: True)
        patch.setattr(cuda.importlib, "import_module", lambda _: fake)
        with pytest.raises(RuntimeError, match=message):
            cuda.CudaDevice()
