"""How the driver speaks with a peer: a request in, a reply out, both JSON files. Standard library only, for it runs in
every peer's own environment.

Request: `task` ("answer", "time" or "whole"), `case` (path of the case), `threads`, `reply` (path to write); for
"answer" `matrix` (path to write: base prices of the options, then the P&L of one contract of each option in each
scenario, options outermost, native float64); for "time" `runs` and `seconds`, the most of each (and, for gpu-var
alone, `without`, a book of few scenarios).

Reply: `peer`, `version`, `python`, `import_s`, `start_s` (reading the case, making the peer's objects), `peak_mb`, and
for "time" `seconds` and `cpu` (lists; one revaluation of the book in all scenarios each), for "whole" `pnl` (of the
book, by scenario) and `var`. An error ends the process with a status other than 0 and a traceback on standard error.
"""

import json
import math
import platform
import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

BEGAN = time.perf_counter()


class Peer(NamedTuple):
    """What a peer's module hands over.

    `start(case, threads)` makes a state of the case; `base(state)` gives a price an option, `revalue(state)` a column
    of prices an option, scenario by scenario: anything that iterates over scenarios and then over options.
    """

    name: str
    package: str
    start: Callable[[dict[str, Any], int], Any]
    base: Callable[[Any], Sequence[float]]
    revalue: Callable[[Any], Iterable[Sequence[float]]]


def book_pnl(prices: Iterable[Sequence[float]], base: Sequence[float], quantity: Sequence[float]) -> list[float]:
    """P&L of the book by scenario, gains positive."""
    today = math.fsum(q * p for q, p in zip(quantity, base))  # noqa: B905 - strict= is slower, and this is timed
    return [sum(map(float.__mul__, quantity, row)) - today for row in prices]


def value_at_risk(pnl: Sequence[float], level: float) -> float:
    """The k-th worst loss, k = ⌈N(1 − level)⌉."""
    k = max(1, math.ceil(round(len(pnl) * (1.0 - level), 9)))
    return -sorted(pnl)[k - 1]


def peak_mb() -> float:
    """Peak resident memory of this process."""
    try:
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    except (OSError, StopIteration):  # not Linux
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / (1e6 if sys.platform == "darwin" else 1e3)


def serve(peer: Peer) -> None:
    """Do what the request, the first argument, asks for."""
    imported = time.perf_counter()
    request = json.loads(Path(sys.argv[1]).read_text())
    case = json.loads(Path(request["case"]).read_text())
    quantity = [float(q) for q in case["options"]["quantity"]]
    state = peer.start(case, request["threads"])
    started = time.perf_counter()
    reply: dict[str, Any] = {
        "peer": peer.name,
        "version": version(peer.package),
        "python": platform.python_version(),
        "import_s": imported - BEGAN,
        "start_s": started - imported,
    }
    if request["task"] == "answer":
        write_matrix(Path(request["matrix"]), peer.base(state), peer.revalue(state))
    elif request["task"] == "time":
        reply["seconds"], reply["cpu"] = timed(
            lambda: exhaust(peer.revalue(state)), request["runs"], request["seconds"]
        )
    else:
        reply["pnl"] = book_pnl(as_floats(peer.revalue(state)), list(map(float, peer.base(state))), quantity)
        reply["var"] = value_at_risk(reply["pnl"], request["level"])
    reply["peak_mb"] = peak_mb()
    Path(request["reply"]).write_text(json.dumps(reply))


def timed(
    work: Callable[[], object], runs: int, seconds: float, rest: Callable[[], object] = lambda: None
) -> tuple[list[float], list[float]]:
    """Seconds and CPU seconds of each of so many runs, fewer where they are long; a first one counts if it is alone.

    `rest` is called after each and is not in its time.
    """
    out: list[float] = []
    cpu: list[float] = []
    begun = time.perf_counter()
    while len(out) < runs + 1 and (not out or time.perf_counter() - begun + out[-1] < seconds):
        begin, spent = time.perf_counter(), time.process_time()
        work()
        out.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - spent)
        rest()
    return out[1:] or out, cpu[1:] or cpu


def exhaust(rows: Iterable[Sequence[float]]) -> None:
    """Run through all scenarios, and look at one price of each."""
    for row in rows:
        if not math.isfinite(row[0]):
            raise ValueError("a price that is no number")


def as_floats(rows: Iterable[Sequence[float]]) -> Iterable[list[float]]:
    """Lists, whatever the peer's rows are."""
    for row in rows:
        yield row.tolist() if hasattr(row, "tolist") else list(map(float, row))


def write_matrix(path: Path, base: Sequence[float], prices: Iterable[Sequence[float]]) -> None:
    """Base prices, then P&L by option and scenario."""
    today = array("d", base)
    by_scenario = [array("d", row) for row in prices]
    with path.open("wb") as stream:
        today.tofile(stream)
        for i, p in enumerate(today):
            array("d", (row[i] - p for row in by_scenario)).tofile(stream)
