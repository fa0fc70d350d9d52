"""`gpu-var` with a fault at an exact moment: python moments.py OUT ACTION MOMENT SECONDS COMMAND…

A moment is when the folder OUT is about to change, as in "os.rename .gpu-var/margin.parquet": a file is opened for
writing, something is renamed or removed, a folder made. When MOMENT comes, `kill`, `term` and `int` send their signal
to this process after SECONDS, and with 0 before the change; `full` fails it and whatever later needs space, as a full
disk does; `readonly` fails it and every change after it, as a file system does that was remounted after a fault. `list`
does nothing and writes the moments to standard output, a line each.
"""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
_NEEDS_SPACE = ("open", "os.mkdir")
_CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")


class Moments:
    """Sees what is about to change a folder."""

    def __init__(self, out: Path, strike: Callable[[str, str], None]) -> None:
        self._out, self._strike, self._lock = f"{out}/", strike, threading.Lock()
        self.seen: list[str] = []

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook."""
        if event not in _CHANGES or not arguments or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if event == "open" and not int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.fsdecode(arguments[0])
        if not f"{path}/".startswith(self._out):
            return
        moment = f"{event} {path.removeprefix(self._out) if path.startswith(self._out) else '.'}"
        with self._lock:
            self.seen.append(moment)
        self._strike(moment, path)


def striker(action: str, at: str, seconds: float) -> Callable[[str, str], None]:
    """What happens at the moment `at`."""
    come = threading.Event()

    def strike(moment: str, path: str) -> None:
        first = moment == at and not come.is_set()
        if first:
            come.set()
        if action in _SIGNALS and first:
            _signal(_SIGNALS[action], seconds)
        if not come.is_set():
            return
        if action == "full" and moment.startswith(_NEEDS_SPACE):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if action == "readonly":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    return strike


def _signal(number: int, seconds: float) -> None:
    if seconds:
        timer = threading.Timer(seconds, os.kill, args=(os.getpid(), number))
        timer.daemon = True
        timer.start()
        return
    os.kill(os.getpid(), number)
    time.sleep(0.1)  # in a thread of the run's own, the main thread takes the signal


if __name__ == "__main__":
    folder, what, when, later, *command = sys.argv[1:]
    moments = Moments(Path(folder), striker(what, when, float(later)))
    sys.addaudithook(moments.hook)
    from gpu_var.cli import main

    sys.argv = ["gpu-var", *command]
    code = main()
    if what == "list":
        print(*moments.seen, sep="\n")
    sys.exit(code)
