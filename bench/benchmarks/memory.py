"""Peak memory of whole runs against the number of positions: flat, for they are streamed. Each in its own process."""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from books import write, write_config, write_house

from benchmarks.house import measure

INSTRUMENTS, ACCOUNTS = 100_000, 100_000
MILLIONS = (1, 3, 10)


def spread(folder: Path, positions: int) -> Path:
    """A house of European options whose positions are spread evenly: hardly any two rows are of one instrument of one
    account, so the table is as long as its rows say. 500 historical scenarios.
    """
    write_house(folder, instruments=INSTRUMENTS, accounts=ACCOUNTS, positions=INSTRUMENTS, american=0.0)
    rng = np.random.default_rng(2)
    write(
        folder / "positions.parquet",
        account=np.char.add("A", rng.integers(0, ACCOUNTS, positions).astype(str)),
        instrument=np.char.add("I", rng.integers(0, INSTRUMENTS, positions).astype(str)),
        quantity=np.round(rng.normal(0.0, 20.0, positions)),
    )
    write_config(folder, fhs=500)
    return folder


class Positions:
    """100,000 instruments × 500 scenarios × 100,000 accounts, and one, three and ten million positions in Parquet."""

    params = (MILLIONS,)
    param_names = ("million positions",)
    timeout = 7200

    def setup_cache(self) -> dict[int, dict[str, float]]:
        out = {}
        for millions in MILLIONS:
            with tempfile.TemporaryDirectory() as scratch:
                folder = str(spread(Path(scratch) / "house", millions * 1_000_000))
                validated, checked = measure("validate", folder)
                seconds, run = measure("run", folder, "--out", str(Path(scratch) / "out"))
            out[millions] = {"validated": validated, "checked": checked, "seconds": seconds, "run": run}
        return out

    setup_cache.timeout = 7200

    def track_peak_memory(self, measured: dict[int, dict[str, float]], millions: int) -> float:
        """Peak resident memory of `gpu-var run`: up to two million positions are computed at a time."""
        return measured[millions]["run"]

    def track_peak_memory_of_reading(self, measured: dict[int, dict[str, float]], millions: int) -> float:
        """Peak resident memory of `gpu-var validate`: the whole book is read, checked and added up."""
        return measured[millions]["checked"]

    def track_seconds(self, measured: dict[int, dict[str, float]], millions: int) -> float:
        """The whole of `gpu-var run`."""
        return measured[millions]["seconds"]

    def track_seconds_of_reading(self, measured: dict[int, dict[str, float]], millions: int) -> float:
        """The whole of `gpu-var validate`."""
        return measured[millions]["validated"]

    track_peak_memory.unit = track_peak_memory_of_reading.unit = "GB"
    track_seconds.unit = track_seconds_of_reading.unit = "s"
