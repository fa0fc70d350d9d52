"""Whole runs through the command line, in a process of their own: wall time, throughput, peak resident memory."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from books import write_config, write_house

# The high-water mark of the process's own memory: getrusage would count its parent's, from before exec.
CHILD = """
import sys
from gpu_var.cli import main
code = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
sys.exit(code)
"""


def measure(*arguments: str) -> tuple[float, float]:
    """Seconds and peak resident memory in GB of `gpu-var ARGUMENTS` (on Linux)."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", CHILD, *arguments, "--quiet"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, int(done.stdout.split()[-1]) / 1e6


class _Command:
    """What is tracked of every command that `measure` has run."""

    timeout = 3600
    number = 1

    def track_seconds(self, measured: dict[str, float]) -> float:
        """The whole command, start-up, reading and writing included."""
        return measured["seconds"]

    def track_peak_memory(self, measured: dict[str, float]) -> float:
        """Peak resident memory of the process."""
        return measured["gigabytes"]

    track_seconds.unit, track_peak_memory.unit = "s", "GB"


class House(_Command):
    """100,000 instruments (half American) × 2,000 scenarios × 1,000 accounts × 1,000,000 positions, all cores."""

    def setup_cache(self) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = write_house(
                Path(scratch) / "house", instruments=100_000, accounts=1_000, positions=1_000_000, american=0.5
            )
            write_config(folder, fhs=500, paths=1500)
            out = Path(scratch) / "out"
            seconds, gigabytes = measure("run", str(folder), "--out", str(out))
            run = json.loads((out / "run.json").read_text())
        stages = run["timings"]
        return {
            "seconds": seconds,
            "gigabytes": gigabytes,
            "rate": run["counts"]["revaluations"] / stages["revalue"] / 1e6,
        }

    setup_cache.timeout = 3600

    def track_rate(self, measured: dict[str, float]) -> float:
        """Revaluations a second in the revaluation stage, early-exercise premiums and aggregation included."""
        return measured["rate"]

    track_rate.unit = "million/s"


class Load(_Command):
    """`gpu-var validate` on 1,000,000 instruments and 10,000,000 positions."""

    def setup_cache(self) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = write_house(
                Path(scratch) / "house", instruments=1_000_000, accounts=10_000, positions=10_000_000, american=0.5
            )
            write_config(folder)
            seconds, gigabytes = measure("validate", str(folder))
        return {"seconds": seconds, "gigabytes": gigabytes}

    setup_cache.timeout = 3600


class StartUp:
    """What a user waits for before anything happens."""

    def time_import(self) -> None:
        """`import gpu_var` in a fresh interpreter, its start included."""
        subprocess.run([sys.executable, "-c", "import gpu_var"], check=True)

    def time_help(self) -> None:
        """`gpu-var --help`."""
        subprocess.run([sys.executable, "-m", "gpu_var", "--help"], check=True, stdout=subprocess.DEVNULL)
