"""Runs in processes of their own, and whether all that they start ends with them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gpu_var

PATIENCE = 300.0
"""Seconds after which a run hangs; a slow machine is no fault."""
LINGER = 10.0
"""Seconds that the processes of a run may live on after it: twice what the contract gives a stopped run."""
_MARK = "GPU_VAR_FAULTS"


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    returncode: int
    said: str  # on standard error
    printed: str
    seconds: float  # that were waited for it


@dataclass
class Running:
    """A run in a process of its own, which leads a session and a group of its own."""

    process: "subprocess.Popen[bytes]"
    mark: str
    here: Path  # of its working folder and that for temporary files
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int, group: bool = False) -> None:
        """Send a signal, to all processes of the group as a terminal's Ctrl-C does, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def signal_to(self, pid: int, number: int) -> None:
        """Send a signal to one process of the run, if it still lives."""
        assert pid in self.family() or not self.alive()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for the end; one that hangs is killed, and `TimeoutExpired` raised."""
        begun = time.monotonic()
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL, group=True)
            self.process.wait()
            raise
        seconds = time.monotonic() - begun
        return Ended(code, self._read("err"), self._read("out"), seconds)

    def _read(self, which: str) -> str:
        return self.log.with_suffix(f".{which}").read_text(encoding="utf-8", errors="replace")

    def litter(self) -> list[str]:
        """Files that it has left in its working folder or that for temporary files, but for Dask's locks."""
        files = [path for path in self.here.rglob("*") if path.is_file()]
        return [str(path) for path in files if path.parent != self.here / "tmp" / "dask-scratch-space"]

    def family(self) -> list[int]:
        """Every living process that this run started, itself included."""
        return _marked(self.mark)

    def workers(self) -> list[int]:
        """Living processes of the run that compute: they hold the numerical libraries."""
        return [pid for pid in self.family() if pid != self.pid and "libscipy_openblas" in _text(pid, "maps")]


def start(command: Sequence[str], scratch: Path, env: Mapping[str, str] | None = None) -> Running:
    """Start a command, marked, with empty folders of its own to work in and for temporary files."""
    mark = uuid.uuid4().hex
    here = scratch / mark
    for name in ("work", "tmp"):
        (here / name).mkdir(parents=True)
    # The package is found from any working folder.
    path = os.pathsep.join([str(Path(gpu_var.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "TMPDIR": str(here / "tmp"), _MARK: mark} | dict(env or {})
    log = scratch / f"{mark}.log"
    with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env=environment, cwd=here / "work", start_new_session=True
        )
    return Running(process, mark, here, log)


def python(*arguments: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *arguments]


def assert_nobody_lives(running: Running) -> None:
    """Every process that a run started ends soon after it."""
    try:
        wait(lambda: not running.family(), LINGER)
    except TimeoutError:
        left = {pid: _text(pid, "cmdline").replace("\0", " ") for pid in running.family()}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"processes that outlive their run: {left}") from None


def wait(until: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for something. Raises `TimeoutError`."""
    end = time.monotonic() + patience
    while not until():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.002)


def _marked(mark: str) -> list[int]:
    """Living processes with the mark in their environment; that of a zombie is empty."""
    sought = f"{_MARK}={mark}"
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if sought in _text(pid, "environ").split("\0")]


def _text(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):  # it has ended since, or is another user's
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    return ""
