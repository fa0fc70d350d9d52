"""Faults, one a function: each brings it about, checks what is left, resumes, and holds the result against that of an
undisturbed run. Each returns the stage that the fault struck in. `bench/faults.py` does many of them, the tests a few.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from faults import disks
from faults.harness import Runs, check_stopped, check_unwritable
from faults.state import kind_of, shards, stage, tables


def kill_after(runs: Runs, out: Path, seconds: float, *more: str, begun: bool = False) -> str:
    """SIGKILL so long after the start, or after the run has `begun`."""
    running = runs.start(out, *more)
    if begun:
        runs.await_begun(running, out)
    time.sleep(seconds)
    running.signal(signal.SIGKILL)
    ended = running.end()
    assert ended.returncode in (-signal.SIGKILL, runs.code), ended.said
    struck = runs.check_left(running, out)
    runs.resume(out, *more)
    return struck


def kill_at(runs: Runs, out: Path, moment: str, seconds: float = 0.0) -> str:
    """SIGKILL just before a change of the folder, or so long after it."""
    struck = leave_at(runs, out, moment, seconds)
    runs.resume(out)
    return struck


def leave_at(runs: Runs, out: Path, moment: str, seconds: float = 0.0, *more: str) -> str:
    """SIGKILL at a moment, without resuming."""
    running = runs.at_moment(out, "kill", moment, seconds, *more)
    ended = running.end()
    assert ended.returncode == -signal.SIGKILL or seconds, ended.said
    return runs.check_left(running, out)


def kill_again_and_again(runs: Runs, out: Path, delays: list[float]) -> list[str]:
    """SIGKILL a run, then what resumes it, each so long after it has begun; what is kept is kept, and not made anew."""
    struck, kept = [], dict[str, tuple[int, int]]()
    for delay in delays:
        running = runs.start(out, "--resume")
        runs.await_begun(running, out)
        time.sleep(delay)
        running.signal(signal.SIGKILL)
        running.end()
        struck.append(runs.check_left(running, out))
        now = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shards(out)}
        again = [name for name in kept.keys() & now.keys() if kept[name] != now[name]]
        assert not again, f"shards that were whole have been done again: {again}"
        kept = now
    runs.resume(out)
    return struck


def stop_after(runs: Runs, out: Path, number: signal.Signals, seconds: float) -> float:
    """SIGINT or SIGTERM so long after the run has begun; returns the seconds to its end."""
    running = runs.start(out)
    runs.await_begun(running, out)
    time.sleep(seconds)
    running.signal(number)
    ended = running.end()
    check_stopped(ended.returncode, ended.said, number)
    runs.check_left(running, out)
    runs.resume(out)
    return ended.seconds


def stop_at(runs: Runs, out: Path, number: signal.Signals, moment: str) -> str:
    """SIGINT or SIGTERM just before a change of the folder."""
    running = runs.at_moment(out, "int" if number == signal.SIGINT else "term", moment)
    ended = running.end()
    check_stopped(ended.returncode, ended.said, number)
    struck = runs.check_left(running, out)
    runs.resume(out)
    return struck


def fail_at(runs: Runs, out: Path, action: str, moment: str) -> str:
    """`full` or `readonly` from a moment on: an error that names a path, and a state that resumes."""
    running = runs.at_moment(out, action, moment)
    ended = running.end()
    struck = runs.check_left(running, out)
    if struck in ("published, clearing", "done"):  # the result is whole, if not that its work folder is gone
        assert ended.returncode in (1, runs.code), ended.said
    else:
        check_unwritable(ended.returncode, ended.said, out)
    runs.resume(out)
    return struck


def limit(runs: Runs, out: Path, size: int, may_do: bool = False) -> str:
    """No file may grow beyond `size` bytes, which `may_do` for this run."""
    running = runs.start(out, within=disks.bounded(size))
    ended = running.end()
    struck = runs.check_left(running, out)
    if struck != "done" or not may_do:
        check_unwritable(ended.returncode, ended.said, out, running.here / "tmp")  # where positions are kept
    runs.resume(out)
    return struck


def run_with(runs: Runs, out: Path, env: Mapping[str, str], *more: str) -> str:
    """A run in another environment, which does not matter to it."""
    running = runs.start(out, *more, env=env)
    ended = running.end()
    assert ended.returncode == runs.code, ended.said
    runs.check_whole(running, out)
    return stage(out)


WORKERS = ("--workers", "2")
HUNG = ("--shard-timeout", "10")
"""Seconds after which a worker that has ended no shard is taken to hang; half an hour without it."""


def strike_worker(runs: Runs, out: Path, number: signal.Signals, draw: random.Random) -> str:
    """A signal to one worker when some shards are done; the others do what it had."""
    running = runs.start(out, *WORKERS, *HUNG)
    runs.await_shards(running, out, draw.randint(2, 12))
    struck, workers = stage(out), running.workers()
    if workers:
        running.signal_to(draw.choice(workers), number)
    ended = running.end()
    assert ended.returncode == runs.code, ended.said
    runs.check_whole(running, out)
    return struck if workers else "done"


DAMAGES = ("empty", "short", "cut", "long", "gone", "unfinished", "flip", "flip", "flip")


def spoil(runs: Runs, half: Path, draw: random.Random) -> int:
    """Damage shards that a killed run has left, in every way that there is, and resume. Returns how many."""
    files = shards(half)
    damaged = draw.sample(files, min(len(files) - 1, len(DAMAGES)))
    for path, how in zip(damaged, draw.sample(DAMAGES, len(damaged)), strict=True):
        spoil_file(path, how, draw.random())
    runs.resume(half)
    return len(damaged)


def spoil_file(path: Path, how: str, share: float) -> None:
    """Damage a file: `empty`, `short` by a byte, `cut` or `flip` at a share of its length, `long` by a byte, `gone`, or
    `unfinished`.
    """
    content = bytearray(path.read_bytes())
    at = min(int(share * len(content)), len(content) - 1)
    if how in ("gone", "unfinished"):
        path.unlink()
        if how == "unfinished":
            path.with_name(f"{path.name}.part").write_bytes(bytes(content[:at]))
        return
    if how == "flip":
        content[at] ^= 1 << (at % 8)
    cut = {"empty": 0, "short": len(content) - 1, "cut": at}.get(how, len(content))
    path.write_bytes(bytes(content[:cut]) + (b"\0" if how == "long" else b""))


def late_shard(runs: Runs) -> str:
    """The moment at which a run has kept most shards that it ever keeps at a time."""
    kept, most, found = set[str](), 0, ""
    for moment in runs.moments:
        event, path = moment.split(" ", 1)
        if "shards/" not in path:
            continue
        if event == "os.rename":
            kept.add(path.removesuffix(".part"))
        elif event == "os.remove":
            kept.discard(path)
        elif len(kept) > most:
            most, found = len(kept), moment
    assert most > 1, "the run keeps no shards"
    return found


def jumping_clock(folder: Path, milliseconds: int = 200) -> dict[str, str]:
    """The environment of a process whose clock jumps that often."""
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.cpp")
    subprocess.run(["g++", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "GPU_VAR_CLOCK_MS": str(milliseconds)}


def overwrite_at(old: Runs, new: Runs, out: Path, moment: str) -> str:
    """SIGKILL while a run replaces another one: the old outputs stay until the new ones are whole."""
    shutil.copytree(old.reference, out)
    running = new.at_moment(out, "kill", moment, 0.0, "--overwrite")
    assert running.end().returncode == -signal.SIGKILL
    found = tables(out)
    assert sorted(found) == sorted(old.expected)
    assert all(content in (old.expected[name], new.expected[name]) for name, content in found.items())
    if not moment.startswith("os.rename"):
        assert found == old.expected
    new.resume(out)
    return kind_of(moment)


def two_at_once(runs: Runs, out: Path) -> str:
    """Two runs that start together: one of them refuses, or finds everything done, and the result is right."""
    both = [runs.start(out, "--resume") for _ in range(2)]
    ended = [running.end() for running in both]
    codes = [one.returncode for one in ended]
    assert runs.code in codes
    assert set(codes) <= {0, 1, runs.code}
    for one in ended:
        assert one.returncode != 1 or "is in use by another run" in one.said
    for running in both:
        runs.check_whole(running, out)
    return "the second refused" if 1 in codes else "the second came later"
