"""g++ builds of the .cu files: a library to call, or a program under sanitizers."""

import hashlib
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from gpu_var.cuda.device import source

HEADER = Path(__file__).with_name("cuda_host.h")

_FLAGS = ["-std=c++20", "-O1", "-g", "-pthread", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing"]
_FLAGS += ["-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-variable"]

BUILDS = {
    "plain": ["-shared"],
    "address": ["-DCUDA_HOST_MAIN", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-DCUDA_HOST_MAIN", "-fsanitize=thread"],
}
"""Flags of each build: a shared library, and programs under Address- and UBSanitizer and under ThreadSanitizer."""

_DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")
_KERNEL = re.compile(
    r"cuda_host_global\s+void\s+(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*)?(\w+)\s*\("
    r"|__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*cuda_host_global\s+void\s+(\w+)\s*\("
)


class BuildError(Exception):
    """g++ refuses a kernel; the message is its own."""


def kernels_of(text: str) -> list[str]:
    """Names of the `__global__` functions in CUDA source, those that macros make included."""
    expanded = _run(["g++", "-E", "-P", "-D__global__=cuda_host_global", "-x", "c++", "-"], text)
    return [match[1] or match[2] for match in _KERNEL.finditer(expanded)]


def host_source(text: str) -> str:
    """The C++ of some CUDA source: only dynamic shared memory, which C++ cannot declare, is spelled differently."""
    exports = "".join(f"CUDA_HOST_EXPORT({name})\n" for name in kernels_of(text))
    body = _DYNAMIC.sub(r"\1 *\2 = reinterpret_cast<\1 *>(cuda_host::dynamic_shared());", text)
    return f'#include "{HEADER.name}"\n{body}\n#line 1 "exports"\n{exports}'


@cache
def build(kernel: str, kind: str = "plain", folder: Path | None = None) -> Path:
    """Build kernels/KERNEL.cu; an unchanged one is built once on a machine, also by tests that run in parallel.

    Args:
        kind: of `BUILDS`.
        folder: where the .cu file is, if not in kernels/.
    """
    text = host_source(source(kernel, folder))
    flags = [*_FLAGS, *BUILDS[kind], f"-I{HEADER.parent}"]
    digest = hashlib.sha256("\0".join([text, HEADER.read_text(), *flags, _compiler()]).encode()).hexdigest()[:24]
    shelf = Path(tempfile.gettempdir()) / f"gpu-var-host-kernels-{os.getuid()}"
    shelf.mkdir(mode=0o700, exist_ok=True)
    built = shelf / f"{kernel}-{kind}-{digest}"
    if not built.exists():
        with tempfile.TemporaryDirectory(dir=shelf) as scratch:
            fresh = Path(scratch) / "out"
            _run(["g++", *flags, "-x", "c++", "-", "-o", str(fresh)], text)
            fresh.replace(built)
    return built


@cache
def _compiler() -> str:
    return _run(["g++", "--version"], "")


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr)
    return done.stdout
