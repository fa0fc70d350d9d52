"""The field side by side: gpu-var, Open Source Risk Engine, QuantLib, FinancePy, vollib and NumPy on the same options.

    python bench/field/install.py     # once: every peer in an environment of its own
    python bench/field/run.py         # a table, and bench/results/field.json

First every peer's answers are compared, then its revaluations are timed, then whole processes, in rounds, so that what
else the machine does falls on all alike. What is measured and what the JSON holds stands in bench/field/README.md.
"""

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import answers
import cases
import claims
import lines
import table
from gpu_var_book import write_book
from install import CACHE
from ore_input import write_ore
from rich.console import Console
from rows import CORES, ROOT, Ended, Failed, Row, call, rows

SHORT = 10
"""Scenarios of the run that is taken off a process's time: start-up, reading and building are the same in both."""
ANSWER = {"european": 100_000, "american": 3_000}
"""Revaluations that are compared one by one."""
PAIRS = 5
"""Calls of our API, long and short in turn, for each run asked for: a call takes a tenth of a second."""


@dataclass(frozen=True)
class Limits:
    """How long to measure."""

    runs: int  # of each measurement
    seconds: float  # for all runs of revaluations inside a process: fewer scenarios where they would take longer
    longest: float  # seconds: a whole process that would take longer is not run
    whole: bool = True  # whether whole processes are run


def net_rate(work: int, net: dict[str, Any]) -> float | None:
    """Revaluations a second of a difference of times; None where the difference is not known to a quarter.

    A median's 95 % interval is ±1.57 times the distance of the quartiles over √runs (McGill, Tukey and Larsen 1978).
    """
    within = 1.57 * (net["upper"] - net["lower"]) / math.sqrt(net["runs"])
    return work / net["median"] if net["runs"] > 1 and within < 0.25 * net["median"] else None


class Inputs:
    """A case's files, in every peer's form."""

    def __init__(self, case: dict[str, Any], folder: Path, counts: list[int], *, apart: bool = False) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.case, self.folder = case, folder
        self.path = cases.save(case, folder / "case.json")
        self.book = write_book(case, folder / "book", cases.LEVEL, apart=apart)
        self.ore: dict[int, Path] = {}
        if case["exercise"] == "european":
            self.ore = {n: write_ore(case, folder / f"ore-{n}", cases.LEVEL, n, trade_pnl=apart) for n in counts}

    @property
    def work(self) -> int:
        """Revaluations."""
        return len(self.case["options"]["strike"]) * (len(self.case["history"]["date"]) - 1)

    def request(self, row: Row, task: str, **more: Any) -> dict[str, Any]:
        """What a row is asked."""
        ore = self.ore.get(row.threads)
        paths = {"case": str(self.path), "book": str(self.book), "ore": None if ore is None else str(ore)}
        return {"task": task, "level": cases.LEVEL, **paths, **more}


def summary(seconds: list[float]) -> dict[str, Any]:
    """Median and quartiles."""
    lower, _, upper = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return {
        "median": statistics.median(seconds),
        "lower": lower,
        "upper": upper,
        "least": min(seconds),
        "runs": len(seconds),
    }


def measure(name: str, chosen: list[Row], limits: Limits, scratch: Path, say: Callable[[str], None]) -> Any:
    """All rows of one case."""
    case = cases.generate(name, **cases.SIZES[name])
    exercise, options = case["exercise"], len(case["options"]["strike"])
    scenarios = len(case["history"]["date"]) - 1
    present = [row for row in chosen if exercise in row.exercise]
    counts = sorted({row.threads for row in present})
    folder = scratch / name
    full = Inputs(case, folder / "full", counts)
    short = Inputs(cases.cut(case, SHORT), folder / "short", counts)
    compared = min(scenarios, max(3, ANSWER[exercise] // options))
    answer = Inputs(cases.cut(case, compared), folder / "answer", counts, apart=True)
    out = {row.key: blank(row) for row in present}
    for row in present:
        reason = row.absent()
        if reason is not None:
            out[row.key]["status"] = reason

    def attempt(row: Row, what: str, work: Callable[[], None]) -> None:
        """Do something with a row; should it fail, the row says why and is left alone from then on."""
        if out[row.key]["status"] != "ok":
            return
        say(f"{name}: {row.key}: {what}")
        try:
            work()
        except Failed as error:
            out[row.key]["status"] = f"{what}: {error}"

    compare(answer, present, out, folder, limits, attempt)
    for row in present:
        if row.timed and row.measured:
            attempt(row, "revaluations", lambda row=row: revaluations(row, full, short, answer, out[row.key], limits))
    if limits.whole:
        whole_processes([row for row in present if row.measured], full, short, out, folder, limits, attempt)
    for row in present:
        out[row.key]["lines"] = lines.of(row.script, case, full.book, full.ore.get(row.threads))
    return {
        "name": name,
        "exercise": exercise,
        "options": options,
        "scenarios": scenarios,
        "compared_scenarios": compared,
        "tolerance": answers.TOLERANCE[exercise],
        "rows": [out[row.key] for row in present if row.measured or out[row.key]["status"] != "ok"],
    }


def together(cases: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The cases with a new one, or with the figures of its rows in the place of the same ones of the same case."""
    old = next((case for case in cases if case["name"] == new["name"]), None)
    if old is None:
        return [*cases, new]
    if (old["options"], old["scenarios"]) != (new["options"], new["scenarios"]):
        raise ValueError(f"{new['name']} has another size than in the file; expected a file of its own (--out)")
    measured = {row["key"]: row for row in old["rows"]}
    for row in new["rows"]:
        again = {name: value for name, value in row.items() if value is not None or name == "note"}
        measured[row["key"]] = measured.get(row["key"], {}) | again
    order = [row.key for row in rows()]
    new["rows"] = sorted(measured.values(), key=lambda row: order.index(row["key"]))
    return [new if case is old else case for case in cases]


def blank(row: Row) -> dict[str, Any]:
    """A row before anything is known of it."""
    nothing = ("version", "difference", "portfolio_difference", "var", "rate", "net", "net_cpu", "call", "whole")
    keys = {"key": row.key, "label": row.label, "threads": row.threads, "status": "ok"}
    return keys | dict.fromkeys((*nothing, "whole_cpu", "start_up", "peak_mb", "stages", "note"), None)


def compare(
    answer: Inputs, present: list[Row], out: dict[str, Any], folder: Path, limits: Limits, attempt: Callable[..., None]
) -> None:
    """Ask every row for its answers, and compare them with the reference."""
    exercise = answer.case["exercise"]
    said: dict[str, Any] = {}

    def ask(row: Row) -> None:
        path = folder / f"{row.key}.answer"
        ended = call(row, answer.request(row, "answer", matrix=str(path)), folder, limits.longest + 300)
        out[row.key]["version"] = ended.reply["version"]
        said[row.key] = answers.read(path)

    for row in present:
        if row.script != "gpu-var run":
            attempt(row, "answers", lambda row=row: ask(row))
    expected = answers.european(answer.case) if exercise == "european" else said.get("quantlib_qdfp_high")
    for row in present:
        if row.key in said and expected is not None:
            largest = answers.difference(answer.case, said[row.key], expected)
            out[row.key]["difference"] = largest
            if not largest <= answers.TOLERANCE[exercise]:
                out[row.key]["status"] = f"another answer: max |Δ|/S is {largest:.1e}"


def revaluations(row: Row, full: Inputs, short: Inputs, answer: Inputs, out: dict[str, Any], limits: Limits) -> None:
    """Time the revaluations inside the process; of fewer scenarios where all would take too long."""
    scratch, timeout = full.folder.parent, limits.longest + 300
    allowed = 2 * limits.seconds  # the estimates below are of one run
    if row.script == "peer_gpu_var.py":
        european = full.case["exercise"] == "european"
        request = {"runs": limits.runs, "seconds": allowed}
        if european:
            request |= {"runs": PAIRS * limits.runs, "without": str(short.book)}
        reply = call(row, full.request(row, "time", **request), scratch, timeout).reply
        out["call"], out["stages"] = summary(reply["seconds"]), {"revalue": summary(reply["revalue"])}
        if european:
            out["net"] = summary([a - b for a, b in zip(reply["seconds"], reply["without"], strict=True)])
            out["net_cpu"] = statistics.median(a - b for a, b in zip(reply["cpu"], reply["without_cpu"], strict=True))
            out["rate"] = net_rate(full.work - short.work, out["net"])
        else:  # premiums of early exercise are fitted once a book, and that is revaluation, too
            out["net"], out["net_cpu"] = out["call"], statistics.median(reply["cpu"])
            out["rate"] = full.work / out["net"]["median"]
        return
    probe = call(row, answer.request(row, "time", runs=1, seconds=0), scratch, timeout).reply["seconds"][0]
    estimate = probe / answer.work * full.work
    if limits.seconds / limits.runs < estimate <= limits.longest:
        # Who computes all scenarios of an option at once is quicker than a few of them let expect.
        estimate = call(row, full.request(row, "time", runs=1, seconds=0), scratch, timeout).reply["seconds"][0]
    used = full
    if estimate * limits.runs > limits.seconds:
        options = len(full.case["options"]["strike"])
        count = max(SHORT, int(limits.seconds / limits.runs * full.work / estimate / options))
        used = Inputs(cases.cut(full.case, count), scratch / "some", [])
        out["note"] = f"revaluations timed in {count} scenarios"
    reply = call(row, used.request(row, "time", runs=limits.runs, seconds=allowed), scratch, timeout).reply
    out["net"], out["net_cpu"] = summary(reply["seconds"]), statistics.median(reply["cpu"])
    out["rate"] = used.work / out["net"]["median"]
    if estimate > limits.longest:
        out["note"] = f"{out['note'] or ''}; a whole run would take {estimate:.0f} s".strip("; ")


def whole_processes(
    present: list[Row],
    full: Inputs,
    short: Inputs,
    out: dict[str, Any],
    folder: Path,
    limits: Limits,
    attempt: Callable[..., None],
) -> None:
    """Whole processes in rounds, from start to end: in all scenarios and, where that is the only way, in a few."""
    long: dict[str, list[Ended]] = {row.key: [] for row in present}
    brief: dict[str, list[Ended]] = {row.key: [] for row in present}

    def once(row: Row) -> None:
        timeout = limits.longest + 300
        long[row.key].append(call(row, full.request(row, "whole"), folder, timeout))
        if not row.timed:
            brief[row.key].append(call(row, short.request(row, "whole"), folder, timeout))

    def wanted(row: Row) -> bool:
        return "a whole run would take" not in (out[row.key]["note"] or "")

    for number in range(limits.runs):
        for row in present:
            if wanted(row):
                attempt(row, f"whole process {number + 1}", lambda row=row: once(row))
    first = [ended[0].reply for ended in long.values() if ended]
    expected = next((reply["pnl"] for reply in first if "var" in reply), None)  # run.json has no P&L
    for row in present:
        if out[row.key]["status"] == "ok" and long[row.key]:
            finish(row, full, short, out[row.key], long[row.key], brief[row.key], expected)


def finish(
    row: Row,
    full: Inputs,
    short: Inputs,
    out: dict[str, Any],
    long: list[Ended],
    brief: list[Ended],
    expected: list[float] | None,
) -> None:
    """What a row's whole processes tell."""
    out["whole"] = summary([ended.seconds for ended in long])
    out["whole_cpu"] = statistics.median(ended.cpu for ended in long)
    out["peak_mb"] = max(ended.peak_mb for ended in long)
    reply = long[-1].reply
    if brief and full.case["exercise"] == "european":
        pairs = list(zip(long, brief, strict=True))
        out["net"] = summary([a.seconds - b.seconds for a, b in pairs])
        out["net_cpu"] = statistics.median(a.cpu - b.cpu for a, b in pairs)
        out["rate"] = net_rate(full.work - short.work, out["net"])
        out["start_up"] = statistics.median(b.seconds for b in brief)
    elif out["net"] is not None and out["note"] is None:
        out["start_up"] = out["whole"]["median"] - (out["call"] or out["net"])["median"]
    if row.script == "gpu-var run":
        out["version"] = reply["version"]
        names = reply["timings"]
        out["stages"] = {name: summary([ended.reply["timings"][name] for ended in long]) for name in names}
    elif expected is not None:
        out["var"] = reply["var"]
        out["portfolio_difference"] = answers.portfolio_difference(full.case, reply["pnl"], expected)
        if not out["portfolio_difference"] <= answers.TOLERANCE[full.case["exercise"]]:
            out["status"] = f"another P&L: max |Δ| / Σ|q|S is {out['portfolio_difference']:.1e}"


def machine() -> dict[str, Any]:
    """Where it was measured."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (x.split(":", 1)[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), model
        )
    load = os.getloadavg() if hasattr(os, "getloadavg") else (None,)
    return {
        "cpu": model,
        "cores": CORES,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": load[0],
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    keys = [row.key for row in rows()]
    parser.add_argument("--cases", nargs="+", choices=list(cases.SIZES), default=list(cases.SIZES), metavar="CASE")
    parser.add_argument("--rows", nargs="+", choices=keys, default=keys, metavar="ROW", help=", ".join(keys))
    parser.add_argument("--runs", type=int, default=20, help="of each measurement")
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="for all runs of revaluations; of fewer scenarios where it is too short",
    )
    parser.add_argument(
        "--longest", type=float, default=60.0, help="a whole process estimated to take longer is left out"
    )
    parser.add_argument("--revaluations", action="store_true", help="no whole processes")
    parser.add_argument(
        "--keep", action="store_true", help="put the rows into the file that is there, beside or instead of its own"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "field.json")
    asked = parser.parse_args(arguments)
    console, begun = Console(), time.perf_counter()
    if not console.is_terminal:
        console = Console(width=200)
    errors = Console(stderr=True)

    def say(text: str) -> None:
        errors.print(f"[{time.perf_counter() - begun:6.0f} s] {text}", highlight=False, markup=False)

    limits = Limits(asked.runs, asked.seconds, asked.longest, not asked.revaluations)
    chosen = [row for row in rows() if row.key in asked.rows]
    kept = json.loads(asked.out.read_text()) if asked.keep else {"runs": [], "cases": []}
    run = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ("python bench/field/run.py " + " ".join(sys.argv[1:] if arguments is None else arguments)).rstrip(),
        "machine": machine(),
        "limits": vars(limits),
    }
    result: dict[str, Any] = {"schema": 2, "runs": [*kept["runs"], run], "cases": kept["cases"], "claims": []}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as scratch:
        for name in asked.cases:
            case = measure(name, chosen, limits, Path(scratch), say)
            for row in case["rows"]:
                row["run"] = len(kept["runs"])
            result["cases"] = together(result["cases"], case)
            result["claims"] = claims.of(result["cases"])
            asked.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    table.show(result, console)
    say(f"written: {asked.out}")
    wrong = [row for case in result["cases"] for row in case["rows"] if row["status"].startswith("another")]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
