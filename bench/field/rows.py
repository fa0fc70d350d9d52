"""The rows of the table, and one process of a row."""

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from install import python, state

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORES = os.cpu_count() or 1

GPU_VAR_RUN = """
import sys
from gpu_var.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Row:
    """A peer in one of its forms."""

    key: str
    label: str
    environment: str
    script: str  # of this folder; "gpu-var run" is the command itself
    arguments: tuple[str, ...] = ()
    threads: int = 1
    exercise: tuple[str, ...] = ("european",)
    timed: bool = True  # revaluations can be timed inside the process
    measured: bool = True  # False: for its answers only

    def absent(self) -> str | None:
        """Why the row cannot be measured here, or None."""
        return state(self.environment)


BOTH = ("european", "american")


def rows() -> list[Row]:
    """Everything that is compared; what can use several cores once on one and once on all."""
    counts = sorted({1, CORES})
    out = [
        Row(f"gpu_var_api_{n}", "gpu-var, Python API", "gpu_var", "peer_gpu_var.py", threads=n, exercise=BOTH)
        for n in counts
    ]
    out += [
        Row(f"gpu_var_run_{n}", "gpu-var run", "gpu_var", "gpu-var run", threads=n, exercise=BOTH, timed=False)
        for n in counts
    ]
    out += [Row("numpy", "NumPy script", "numpy", "peer_numpy.py")]
    out += [
        Row(f"ore_{n}", "Open Source Risk Engine, historical VaR", "ore", "peer_ore.py", threads=n, timed=False)
        for n in counts
    ]
    out += [
        Row("quantlib", "QuantLib, analytic engine", "quantlib", "peer_quantlib.py"),
        Row("quantlib_formula", "QuantLib, blackFormula", "quantlib", "peer_quantlib.py", ("formula",)),
        Row("financepy", "FinancePy", "financepy", "peer_financepy.py"),
        Row("vollib", "vollib (py_vollib's successor)", "vollib", "peer_vollib.py"),
        Row("vollib_vectorized", "py_vollib_vectorized", "vollib_vectorized", "peer_vollib.py", ("vectorized",)),
    ]
    for scheme in ("fast", "accurate", "high"):
        out.append(
            Row(
                f"quantlib_qdfp_{scheme}",
                f"QuantLib, QD+ fixed point, {scheme} scheme",
                "quantlib",
                "peer_quantlib.py",
                (scheme,),
                exercise=("american",),
                measured=scheme != "high",
            )
        )
    return out


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    seconds: float  # from its start to its end
    cpu: float  # seconds of CPU, of all its threads
    peak_mb: float
    reply: dict[str, Any]


class Failed(Exception):  # noqa: N818 - it is the row that failed
    """A peer's process did not do what was asked; the text says why."""


def call(row: Row, request: dict[str, Any], scratch: Path, timeout: float, interpreter: Path | None = None) -> Ended:
    """Run a row's process on a request and wait for it.

    Raises `Failed` where it takes longer than `timeout` seconds, ends with an error or does not reply.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    own = interpreter or python(row.environment)
    reply = scratch / f"{row.key}.reply.json"
    reply.unlink(missing_ok=True)
    if row.script == "gpu-var run":
        out = scratch / f"{row.key}.out"
        options = ["--out", out, "--overwrite", "--quiet", "--backend", "cpu", "--threads", row.threads]
        command = [own, "-c", GPU_VAR_RUN, "run", request["book"], *options]
    else:
        asked = scratch / f"{row.key}.request.json"
        asked.write_text(json.dumps(request | {"threads": row.threads, "reply": str(reply)}))
        command = [own, HERE / row.script, asked, *row.arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if row.environment == "gpu_var" else ""}
    with (scratch / f"{row.key}.log").open("w+") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=scratch
        )
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            killer.cancel()
        seconds, cpu = time.perf_counter() - begin, usage.ru_utime + usage.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read().strip().splitlines()
    if process.returncode == -9 and seconds >= timeout:
        raise Failed(f"took longer than {timeout:.0f} s")
    if process.returncode != 0:
        raise Failed(f"exit status {process.returncode}: {said[-1][:300] if said else 'nothing said'}")
    if row.script == "gpu-var run":
        return Ended(seconds, cpu, usage.ru_maxrss / 1e3, json.loads((out / "run.json").read_text()))
    if not reply.exists():
        raise Failed("did not reply")
    answer = json.loads(reply.read_text())
    return Ended(seconds, cpu, answer["peak_mb"], answer)
