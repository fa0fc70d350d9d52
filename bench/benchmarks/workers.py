"""The house on one thread, on two, and on two Dask workers: `gpu-var run` as a command, each in turn.

`python bench/benchmarks/workers.py [--rounds 5]` prints medians and ranges, without asv.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from books import write_config, write_house

WAYS = {"1 thread": ("--threads", "1"), "2 threads": ("--threads", "2"), "2 workers": ("--workers", "2")}
FIGURES = ("rate", "seconds", "processor")


def run_once(book: Path, out: Path, options: tuple[str, ...]) -> dict[str, float]:
    """A run: millions of revaluations a second in the stage that revalues, seconds of the whole command, and
    processor seconds of it and of its workers, which tell what it costs on a machine that does other things too.
    """
    command = [sys.executable, "-m", "gpu_var", "run", str(book), "--out", str(out), "--overwrite", "--backend", "cpu"]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, *options, "--quiet"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    facts = json.loads((out / "run.json").read_text())
    rate = facts["counts"]["revaluations"] / facts["timings"]["revalue"] / 1e6
    return {"rate": rate, "seconds": seconds, "processor": used.ru_utime + used.ru_stime}


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Figures of every way, round by round: way -> figure -> (rounds,)."""
    found: dict[str, dict[str, list[float]]] = {way: {figure: [] for figure in FIGURES} for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        book = write_house(
            Path(scratch) / "house", instruments=100_000, accounts=1_000, positions=1_000_000, american=0.5
        )
        write_config(book, fhs=500, paths=1500)
        for _ in range(rounds):
            for way, options in WAYS.items():
                for figure, value in run_once(book, Path(scratch) / "out", options).items():
                    found[way][figure].append(value)
    return found


class Workers:
    """100,000 instruments (half American) × 2,000 scenarios × 1,000 accounts, three rounds; medians and ranges."""

    params = (list(WAYS),)
    param_names = ("way",)
    timeout = 3600

    def setup_cache(self) -> dict[str, dict[str, list[float]]]:
        return measure(rounds=3)

    setup_cache.timeout = 3600

    def track_rate(self, found: dict[str, dict[str, list[float]]], way: str) -> float:
        """Revaluations a second in the stage that revalues: the median."""
        return statistics.median(found[way]["rate"])

    def track_rate_range(self, found: dict[str, dict[str, list[float]]], way: str) -> float:
        """The largest less the smallest of them."""
        return max(found[way]["rate"]) - min(found[way]["rate"])

    def track_seconds(self, found: dict[str, dict[str, list[float]]], way: str) -> float:
        """The whole command, start-up of the workers, reading and writing included: the median."""
        return statistics.median(found[way]["seconds"])

    def track_processor_seconds(self, found: dict[str, dict[str, list[float]]], way: str) -> float:
        """Processor time of the command and its workers, in user and in system mode: the median."""
        return statistics.median(found[way]["processor"])

    track_rate.unit = track_rate_range.unit = "million/s"
    track_seconds.unit = track_processor_seconds.unit = "s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    result = measure(parser.parse_args().rounds)
    print(f"{'':10}" + "".join(f"{figure:>26}" for figure in FIGURES))
    for name, figures in result.items():
        cells = [f"{statistics.median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in figures.values()]
        print(f"{name:10}" + "".join(f"{cell:>26}" for cell in cells))
