"""The fault harness of tests/faults in its long form: `python bench/faults.py [--kills 50] [--seed 1] [--only WHAT]`.

Each fault is brought about, what is left is checked, the run is resumed, and its tables are held byte for byte against
those of an undisturbed run. Prints a line a kind of fault: how often, in which stages of the run it struck, how many
results were the same bytes. The exit status is 1 where one was not, or a check failed.
"""

import argparse
import importlib.util
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "tests")  # where `faults` is the harness and not this file
sys.path.insert(1, str(ROOT))

from faults import disks, experiments  # noqa: E402
from faults.harness import Runs, write_book  # noqa: E402
from faults.state import kind_of  # noqa: E402

Fault = Callable[[Path], str | list[str]]


Kinds = Iterator[tuple[str, Fault]]
"""What a fault is, and a function of an output folder that brings it about and returns the stages that it struck in."""


def killed(runs: Runs, other: Runs, kills: int, draw: random.Random) -> Kinds:
    """SIGKILL."""
    for n in range(kills):
        # From the start, or from where it can be resumed: before that, importing libraries takes half of the time.
        delay = draw.uniform(0.0, 0.9 * runs.seconds if n % 4 == 0 else 0.3 * runs.seconds)
        yield "SIGKILL at any time", lambda out, d=delay, n=n: experiments.kill_after(runs, out, d, begun=n % 4 > 0)
    for moment in runs.moments:
        yield "SIGKILL before each change of the folder", lambda out, m=moment: experiments.kill_at(runs, out, m)
    for moment in [m for m in runs.moments if m.startswith("open")]:
        wait = draw.uniform(0.0, 0.003)
        yield "SIGKILL while each file is written", lambda out, m=moment, w=wait: experiments.kill_at(runs, out, m, w)
    for _ in range(kills // 5):
        delays = [draw.uniform(0.0, 0.2 * runs.seconds) for _ in range(5)]
        yield "SIGKILL five times in a row", lambda out, d=delays: experiments.kill_again_and_again(runs, out, d)
    for moment in [m for m in other.moments if kind_of(m) in ("writing outputs", "publishing")]:
        yield "SIGKILL of --overwrite", lambda out, m=moment: experiments.overwrite_at(runs, other, out, m)


def stopped(runs: Runs, kills: int, draw: random.Random) -> Kinds:
    """SIGINT and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        for _ in range(kills // 5):
            delay = draw.uniform(0.0, 0.1 * runs.seconds)
            yield f"{number.name} at any time", lambda out, n=number, d=delay: stop(runs, out, n, d)
        for moment in [m for m in runs.moments if kind_of(m) not in ("clearing", "beginning")]:
            yield (
                f"{number.name} before each change of the folder",
                lambda out, n=number, m=moment: experiments.stop_at(runs, out, n, m),
            )


def disk(runs: Runs, half: Path, kills: int) -> Kinds:
    """Disks that are full or read-only, and files that are damaged."""
    for action, what in (("full", "no space from each change on"), ("readonly", "read-only from each change on")):
        for moment in [m for m in runs.moments if kind_of(m) != "beginning"]:
            yield what, lambda out, a=action, m=moment: experiments.fail_at(runs, out, a, m)
    whole = sum(map(len, runs.expected.values()))
    if not disks.cannot_mount(half.parent):
        for n in range(10):
            yield "a disk that is too small", lambda out, s=n * whole // 12: disks.fill(runs, out, s)
    for n in range(10):
        yield "no file may grow further", lambda out, s=500 << n: experiments.limit(runs, out, s, may_do=True)
    for n in range(kills // 2):
        yield "damaged shards", lambda out, n=n: damaged(runs, half, out, random.Random(n))


def around(runs: Runs, kills: int, draw: random.Random) -> Kinds:
    """Other runs, clocks, and workers."""
    for _ in range(kills // 5):
        yield "two runs at once", lambda out: experiments.two_at_once(runs, out)
    if shutil.which("g++"):
        for milliseconds in (20, 50, 100, 200, 500, 1000):
            yield "a wall clock that jumps", lambda out, m=milliseconds: jumps(runs, out, m)
    if importlib.util.find_spec("distributed"):
        if shutil.which("g++"):
            # Dask holds messages back until a time of the wall clock: one set oftener than that would hold up them all.
            for milliseconds in (1000, 3000, 10_000):
                yield (
                    "a wall clock that jumps, with workers",
                    lambda out, m=milliseconds: jumps(runs, out, m, *experiments.WORKERS, *experiments.HUNG),
                )
        for number in (signal.SIGKILL, signal.SIGSTOP):
            for n in range(kills // 10):
                yield (
                    f"{number.name} of a worker",
                    lambda out, k=number, n=n: experiments.strike_worker(runs, out, k, random.Random(n)),
                )
        for _ in range(kills // 5):
            delay = draw.uniform(0.0, runs.seconds)
            yield (
                "SIGKILL of a run with workers",
                lambda out, d=delay: experiments.kill_after(runs, out, d, *experiments.WORKERS, begun=True),
            )


SECONDS: list[float] = []
"""That stopped runs took to end."""


def stop(runs: Runs, out: Path, number: signal.Signals, delay: float) -> str:
    """Stop a run, and note how long it took to end."""
    SECONDS.append(experiments.stop_after(runs, out, number, delay))
    return "computing"


def damaged(runs: Runs, half: Path, out: Path, draw: random.Random) -> str:
    """Damage what a killed run has left."""
    return f"{experiments.spoil(runs, shutil.copytree(half, out), draw)} shards at once"


def jumps(runs: Runs, out: Path, milliseconds: int, *more: str) -> str:
    """A whole run under a clock that jumps that often."""
    return experiments.run_with(runs, out, experiments.jumping_clock(out.parent, milliseconds), *more)


def main() -> int:
    """Bring about all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="SIGKILL at random times; other faults in proportion")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--at-most", type=int, default=10**6, help="of each kind of fault, drawn at random")
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    stages: dict[str, Counter[str]] = {}
    failures: Counter[str] = Counter()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "other").mkdir()
        runs = Runs.prepare(write_book(scratch / "book"), scratch)
        other = runs.with_seed(9, scratch / "other")
        half = scratch / "half"
        experiments.leave_at(runs, half, experiments.late_shard(runs))
        kinds: dict[str, list[Fault]] = {}
        for name, fault in chain(
            killed(runs, other, asked.kills, draw),
            stopped(runs, asked.kills, draw),
            disk(runs, half, asked.kills),
            around(runs, asked.kills, draw),
        ):
            kinds.setdefault(name, []).append(fault)
        for name, every in kinds.items():
            if asked.only not in name:
                continue
            for n, fault in enumerate(draw.sample(every, min(asked.at_most, len(every)))):
                out = scratch / f"{len(stages)}-{n}" / "out"
                out.parent.mkdir()
                try:
                    struck = fault(out)
                    stages.setdefault(name, Counter()).update([struck] if isinstance(struck, str) else struck)
                except Exception:
                    failures[name] += 1
                    print(f"{name}, number {n}:\n{traceback.format_exc()}", file=sys.stderr)
                    continue
                shutil.rmtree(out.parent)
            show(name, stages.get(name, Counter()), failures[name])
    print(f"{sum(map(Counter.total, stages.values()))} faults in {time.monotonic() - begun:.0f} s, ", end="")
    print(f"{failures.total()} of them with a result or a state that is not right")
    if SECONDS:
        print(f"a stopped run took {max(SECONDS):.2f} s to end at most ({len(SECONDS)} stopped)")
    return int(failures.total() > 0)


def show(name: str, stages: "Counter[str]", failures: int) -> None:
    """A line of the table."""
    struck = ", ".join(f"{stage} {count}" for stage, count in stages.most_common())
    right = stages.total()
    print(f"{name}: {right + failures} times ({struck}), {right} the same bytes", flush=True)


if __name__ == "__main__":
    sys.exit(main())
