"""What `gpu-var bench` measures, in under two minutes: every function, then whole books of growing size."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import nnls

from gpu_var import __version__
from gpu_var.backend import load_backend
from gpu_var.benchmark import functions, machine
from gpu_var.benchmark.clock import Timing, timed
from gpu_var.benchmark.house import House, Ran, house, run
from gpu_var.benchmark.watched import WatchedDevice
from gpu_var.cuda.device import current, unavailable, use

SCHEMA = 1
"""Of bench.json; a change that would break a reader raises it."""

BUDGET = 100.0
"""Seconds after which no other measurement begins."""

_SHARE = {"function": 0.01, "book": 0.25, "scaling": 0.02}
"""Of the budget, for the repetitions of a function, of one book on one side, and on one number of threads."""


@dataclass(frozen=True)
class Size:
    """A book: options on stocks, half of them American."""

    instruments: int
    scenarios: int
    accounts: int
    positions: int
    underlyings: int

    @property
    def revaluations(self) -> int:
        """Instruments × scenarios."""
        return self.instruments * self.scenarios


SIZES = (
    Size(1_000, 1_000, 100, 10_000, 1),
    Size(10_000, 500, 1_000, 100_000, 5),
    Size(100_000, 1_000, 1_000, 500_000, 50),
    Size(1_000_000, 250, 10_000, 10_000_000, 50),
    Size(1_000_000, 10_000, 10_000, 10_000_000, 50),
)
MOONSHOT = SIZES[-1]
"""A whole house."""

Progress = Callable[[str, float], None]


def bench(
    threads: int, model: str, progress: Progress, *, budget: float = BUDGET, sizes: tuple[Size, ...] = SIZES
) -> dict[str, Any]:
    """Measure this machine.

    Args:
        threads: of the CPU.
        model: what the CPU is called.
        progress: called with what is measured and the share of the time that has passed.
        budget: seconds after which no other measurement begins.
        sizes: the books, ascending.

    Returns:
        What bench.json holds: numbers, text, lists and tables of them; seconds, elements a second.
    """
    begun = time.perf_counter()

    def left() -> float:
        return budget - (time.perf_counter() - begun)

    def share(of: str) -> float:
        return min(_SHARE[of] * budget, max(0.0, left()) / 3)

    def tell(what: str) -> None:
        progress(what, min(1.0, 1.0 - left() / budget))

    missing = unavailable()
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "machine": machine.host_facts(threads, model),
        "budget": budget,
    }
    tell("ceilings of the CPU")
    out["ceilings"] = {"cpu": machine.host_ceilings()}
    tell("functions on one core")
    cpu = load_backend("cpu")
    out["functions"] = {
        "cpu": functions.measured(functions.cases_of(cpu, "cpu"), out["ceilings"]["cpu"], budget=share("function"))
    }
    if missing is None:
        out |= _device(out, tell, share)
    else:
        out["no_gpu"] = missing
    out["books"] = []
    for size in sizes:
        out["books"].append(_book(size, threads, missing is None, out["books"], left, share, tell))
    out["wins_from"] = wins_from(out["books"])
    out["verdict"] = verdict(out)
    out["seconds"] = time.perf_counter() - begun
    return out


def _device(out: dict[str, Any], tell: Callable[[str], None], share: Callable[[str], float]) -> dict[str, Any]:
    """The GPU's part of what is measured function by function; the others' parts are kept."""
    tell("ceilings of the GPU")
    device, cuda = current(), load_backend("cuda")
    on_host = device.xp is np
    facts = {"gpu": device.name} if on_host else machine.device_facts(device.xp)
    ceilings = out["ceilings"]["cpu"] if on_host else machine.device_ceilings(device.xp)
    measured = {}
    for precision, name in (("float64", "cuda"), ("float32", "cuda_float32")):
        tell(f"functions on the GPU, {precision}")
        shape = "cpu" if on_host else "cuda"
        cases = functions.cases_of(cuda, shape, precision)
        measured[name] = functions.measured(cases, ceilings, WatchedDevice(device).wait, budget=share("function"))
        largest = functions.errors(cuda, load_backend("cpu"), precision)
        for row in measured[name]:
            row["largest_error"] = largest.get(row["function"])
    return {
        "machine": out["machine"] | {"device": facts},
        "ceilings": out["ceilings"] | {"cuda": ceilings},
        "functions": out["functions"] | measured,
    }


def _book(
    size: Size,
    threads: int,
    gpu: bool,
    before: list[dict[str, Any]],
    left: Callable[[], float],
    share: Callable[[str], float],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """A book on each side, as often as there is time; not at all where there is none for a cold run and a warm one."""
    row: dict[str, Any] = asdict(size) | {"revaluations": size.revaluations}
    sides = ["cpu", "cuda"] if gpu else ["cpu"]
    expected = {side: _expected(size, before, side) for side in sides}
    wanted = [side for side in sides if 2.0 * expected[side] < 0.9 * left()]
    row |= {side: {"skipped": f"would take some {_about(expected[side])}"} for side in sides if side not in wanted}
    if not wanted:
        return row
    book = f"{size.instruments:,} instruments in {size.scenarios:,} scenarios"
    tell(f"{book}, drawing")
    whole = house(size.instruments, size.scenarios, size.accounts, size.positions, size.underlyings)
    ran: dict[str, Ran] = {}
    if "cpu" in wanted:
        row["cpu"], ran["cpu"] = _cpu(whole, size, threads, share, lambda: tell(f"{book}, CPU"))
    if "cuda" in wanted:
        row["cuda"], ran["cuda"] = _cuda(whole, size, threads, share, lambda: tell(f"{book}, GPU"))
    if len(ran) == 2:
        row["largest_difference"] = _difference(ran["cuda"], ran["cpu"])
    return row


def _expected(size: Size, before: list[dict[str, Any]], side: str) -> float:
    """Seconds that a book will take, by those that were measured: so many for each underlying, whose early-exercise
    premiums are fitted, and so many for each revaluation. Infinite where the smaller ones took too long already.
    """
    known = [row for row in before if "seconds" in row.get(side, {})]
    if not known:
        return math.inf if before else 0.0
    work = np.array([[row["underlyings"], row["revaluations"]] for row in known], dtype=np.float64)
    seconds = np.array([row[side]["seconds"]["median"] for row in known])
    if len(known) == 1:  # no more than in proportion
        return float(seconds[0] * max(size.underlyings / work[0, 0], size.revaluations / work[0, 1]))
    rates, _ = nnls(work / seconds[:, None], np.ones(len(known)))  # relative errors count alike
    return float(rates @ [size.underlyings, size.revaluations])


def _cpu(
    whole: House, size: Size, threads: int, share: Callable[[str], float], begin: Callable[[], None]
) -> tuple[dict[str, Any], Ran]:
    kept: list[Ran] = []

    def computed(on: int) -> None:
        begin()
        kept[:] = [run(whole, "cpu", on)]  # the same bits on any number of threads

    computed(threads)
    cold = kept[0].seconds
    timing = _repeated(partial(computed, threads), cold, share("book"))
    out: dict[str, Any] = {"cold": cold, "seconds": asdict(timing), "per_second": size.revaluations / timing.median}
    out["fewer_threads"] = {
        str(fewer): asdict(_repeated(partial(computed, fewer), alone, share("scaling")))
        for fewer in (2**i for i in range(16))
        if fewer < threads and (alone := timing.median * threads / fewer) < share("scaling")
    }
    return out, kept[0]


def _cuda(
    whole: House, size: Size, threads: int, share: Callable[[str], float], begin: Callable[[], None]
) -> tuple[dict[str, Any], Ran]:
    """Cold is the first run of this book: in the first book it has the start of the device and of its kernels in it."""
    kept: list[Ran] = []

    def on_device() -> None:
        begin()
        kept[:] = [run(whole, "cuda", threads)]

    on_device()
    cold = kept[0].seconds
    timing = _repeated(on_device, cold, share("book"))
    with use(WatchedDevice(current())) as device:
        assert isinstance(device, WatchedDevice)
        watched = run(whole, "cuda", threads)
        kernels = device.kernels()
    out = {
        "cold": cold,
        "seconds": asdict(timing),
        "per_second": size.revaluations / timing.median,
        "watched": watched.seconds,
        "transfers": device.transfers,
        "kernels": sum(kernels.values()),
        "by_kernel": kernels,
    }
    return out, watched


def _repeated(run_it: Callable[[], object], once: float, budget: float) -> Timing:
    """The timing of more runs of what took `once` seconds; of that one, where no other fits."""
    return timed(run_it, budget=budget, warm_up=0) if once < budget else Timing.of([once])


def _difference(ran: Ran, reference: Ran) -> float:
    """The largest difference of an account's VaR or ES, relative."""
    pairs = ((ran.tail.var, reference.tail.var), (ran.tail.es, reference.tail.es))
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def wins_from(books: list[dict[str, Any]]) -> float | None:
    """Revaluations of a book from which on the GPU is the faster: between two measured books, in proportion on a
    logarithmic scale; None where it never is, or where there is nothing to compare.
    """
    known = [row for row in books if "seconds" in row["cpu"] and "seconds" in row.get("cuda", {})]
    x = [math.log(row["revaluations"]) for row in known]
    gain = [math.log(row["cpu"]["seconds"]["median"] / row["cuda"]["seconds"]["median"]) for row in known]
    wins = [g > 0.0 for g in gain]
    if not wins or not wins[-1]:
        return None
    first = len(wins) - wins[::-1].index(False) if False in wins else 0  # from here on it always is
    if first == 0:
        return float(known[0]["revaluations"])
    left, right = gain[first - 1], gain[first]
    return math.exp(x[first - 1] + (x[first] - x[first - 1]) * (0.0 - left) / (right - left))


def verdict(out: dict[str, Any]) -> str:
    """One sentence: is the GPU worth it, or, without one, what this machine does."""
    books = [row for row in out["books"] if "seconds" in row["cpu"]]
    last = books[-1]
    rate = last["cpu"]["per_second"]
    long = _about(_expected(MOONSHOT, books, "cpu"))
    house_of = f"a house of {MOONSHOT.instruments:,} options in {MOONSHOT.scenarios:,} scenarios"
    if "no_gpu" in out:
        return (
            f"These {out['machine']['threads']} threads revalue {rate / 1e6:,.1f} million options a second, so that "
            f"{house_of} would take some {long}; no GPU was measured ({out['no_gpu']})."
        )
    both = [row for row in books if "seconds" in row["cuda"]]
    if not both:
        return f"No book was measured on both sides; on the CPU, {house_of} would take some {long}."
    ratio = both[-1]["cpu"]["seconds"]["median"] / both[-1]["cuda"]["seconds"]["median"]
    at = f"a book of {both[-1]['instruments']:,} options in {both[-1]['scenarios']:,} scenarios"
    if out["wins_from"] is None:
        return f"The GPU is not worth it at the sizes measured: with {at} the CPU is {1 / ratio:,.1f} times as fast."
    return (
        f"The GPU is {ratio:,.1f} times as fast as {out['machine']['threads']} threads on {at}, "
        f"and is the faster from some {out['wins_from']:,.0f} revaluations on."
    )


def _about(seconds: float) -> str:
    for size, unit in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
