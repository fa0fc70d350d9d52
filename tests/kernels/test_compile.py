"""Every kernel compiles for every architecture with NVRTC from its wheel, without a driver; none spills."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from kernels.budget import RESOURCES
from kernels.host.build import kernels_of

from gpu_var.cuda.device import OPTIONS, kernel_path, source

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="the compiler comes with gpu-var[test]")

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
FILES = sorted(path.stem for path in kernel_path().glob("*.cu"))

_ENTRY = re.compile(
    r"Compiling entry function '(\w+)'[\s\S]*?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
    r"[\s\S]*?Used (\d+) registers(?:, used \d+ barriers)?([^\n]*)"
)
_SHARED = re.compile(r"(\d+) bytes smem")


class Resources(NamedTuple):
    """What ptxas says of a kernel."""

    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


class CompileError(Exception):
    """NVRTC refuses; the message is its log."""


@cache
def compiled(kernel: str, architecture: str) -> tuple[dict[str, Resources], str]:
    """Compile kernels/KERNEL.cu to machine code; its functions' resources and the compiler's log."""
    return compile_text(source(kernel), architecture)


def compile_text(text: str, architecture: str) -> tuple[dict[str, Resources], str]:
    """Compile some CUDA source to machine code."""
    status, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS
    options = [o.encode() for o in (*OPTIONS, f"--gpu-architecture={architecture}", "--ptxas-options=-v")]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    buffer = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, buffer)
    log = bytes(buffer).rstrip(b"\0 \n").decode()
    nvrtc.nvrtcDestroyProgram(program)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(log)
    out = {}
    for name, stack, stores, loads, registers, rest in _ENTRY.findall(log):
        shared = _SHARED.search(rest)
        out[name] = Resources(int(registers), int(shared[1]) if shared else 0, int(stack), int(stores) + int(loads))
    return out, log


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kernel", FILES)
def test_compiles_without_warnings_or_spills(kernel: str, architecture: str) -> None:
    functions, log = compiled(kernel, architecture)
    assert "warning" not in log.lower(), log
    assert sorted(functions) == sorted(kernels_of(source(kernel)))
    for name, of in functions.items():
        RESOURCES[f"{kernel}.{name}", architecture] = (
            f"{of.registers:3d} registers {of.shared_bytes:6d} B shared"
            f" {of.stack_bytes:5d} B stack {of.spill_bytes:4d} B spilled"
        )
    # Every kernel here is hot: its inner loop is the whole of it.
    assert not {name: of.spill_bytes for name, of in functions.items() if of.spill_bytes}


def test_all_kernels_are_there() -> None:
    assert {"aggregate", "exercise", "filter", "normals", "revalue", "tail"} <= set(FILES)


def test_a_warning_an_error_and_a_spill_would_be_seen() -> None:
    _, log = compile_text('extern "C" __global__ void f(int *x) { int unused; x[0] = 1; }', "sm_90")
    assert "warning" in log
    with pytest.raises(CompileError, match=r"kernel\.cu\(1\): error"):
        compile_text('extern "C" __global__ void f(int *x) { x[0] = nothing; }', "sm_90")
    spilling = """
        extern "C" __global__ void __launch_bounds__(1024, 2) f(double *x) {
            double a[64];
            #pragma unroll
            for (int i = 0; i < 64; ++i) a[i] = x[i * 1024 + threadIdx.x];
            __syncthreads();
            #pragma unroll
            for (int i = 0; i < 64; ++i) x[i * 1024 + threadIdx.x] = a[i] * a[63 - i] + a[(i * 7) % 64];
        }"""
    functions, _ = compile_text(spilling, "sm_90")
    assert functions["f"].spill_bytes > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_ceilings_of_the_benchmark_compile(architecture: str) -> None:
    text = (Path(__file__).resolve().parents[2] / "gpu_var" / "benchmark" / "ceilings.cu").read_text()
    functions, log = compile_text(text, architecture)
    assert set(functions) == {"fma_fp64", "fma_fp32", "special_fp32"}
    assert "warning" not in log
