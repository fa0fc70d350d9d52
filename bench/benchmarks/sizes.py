"""Whole books from arrays to every account's VaR and ES, over sizes; and the demo's two real books as commands."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_var.batch.host import thread_count
from gpu_var.benchmark.house import house, run
from gpu_var.cuda.device import unavailable
from gpu_var.demo import write_demo

LIMIT = {"cpu": 3e8, "cuda": 1e11}
"""Revaluations that a backend is given: more would take a CPU many minutes."""


class Sizes:
    """10³ to 10⁶ options, half of them American, in 250 to 100,000 scenarios, in 10 to 100,000 accounts."""

    params = (
        ["cpu float64", "cuda float64", "cuda float32"],
        [10**3, 10**4, 10**5, 10**6],
        [250, 10_000, 100_000],
        [10, 1_000, 100_000],
    )
    param_names = ("backend and precision", "instruments", "scenarios", "accounts")
    timeout = 1800
    number = 1
    repeat = (1, 3, 60.0)
    warmup_time = 0

    def setup(self, way: str, instruments: int, scenarios: int, accounts: int) -> None:
        backend = way.split(maxsplit=1)[0]
        memory = 24.0 * scenarios * accounts  # the accounts' profit and loss, whole in memory, and what its tails take
        if instruments * scenarios > LIMIT[backend] or memory > 8e9 or (backend == "cuda" and unavailable()):
            raise NotImplementedError  # asv's way to leave a combination out
        positions = max(instruments, 10 * accounts)
        self.whole = house(instruments, scenarios, accounts, positions, max(1, min(50, instruments // 2000)))

    def time_book(self, way: str, _instruments: int, _scenarios: int, _accounts: int) -> None:
        """Fits of early-exercise premiums, revaluation, aggregation and tails; every core."""
        backend, precision = way.split()
        run(self.whole, backend, thread_count(None), precision)


class Demo:
    """`gpu-var run` on the ETH options of a crypto venue and on listed GOOG options: the whole command."""

    params = (["eth", "goog"],)
    param_names = ("book",)
    timeout = 300

    def setup(self, name: str) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        write_demo(Path(self.scratch.name))
        self.book = next(p for p in Path(self.scratch.name).iterdir() if name in p.name)

    def teardown(self, _name: str) -> None:
        self.scratch.cleanup()

    def track_seconds(self, _name: str) -> float:
        """The median of five runs, start-up, reading, writing and the report included."""
        seconds = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-m", "gpu_var", "run", self.book, "--overwrite", "--quiet"], check=True)
            seconds.append(time.perf_counter() - begin)
        return sorted(seconds)[2]

    track_seconds.unit = "s"
