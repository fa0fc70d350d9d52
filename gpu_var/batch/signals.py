"""SIGINT and SIGTERM end a run within seconds, whatever it is doing. Every file is renamed into place when whole, so
that it may end anywhere and `--resume` still finds a sound state."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from gpu_var.batch.errors import Interrupted

GRACE = 3.0
"""Seconds in which the run may unwind by itself; after them the process ends where it stands."""

_LAST = 1.0  # seconds for what is said before that
_LAST_WORDS: list[Callable[[int], object]] = []


@contextlib.contextmanager
def last_words(say: Callable[[int], object]) -> Iterator[None]:
    """Within it, `say` is called with the exit code before a process that does not unwind is ended where it stands."""
    _LAST_WORDS.append(say)
    try:
        yield
    finally:
        _LAST_WORDS.remove(say)


def _end_now(exit_code: int) -> None:
    def speak() -> None:
        print(f"stopped by {signal.Signals(exit_code - 128).name}", file=sys.stderr, flush=True)
        for say in reversed(_LAST_WORDS):
            say(exit_code)

    speaker = threading.Thread(target=speak, daemon=True)  # of its own, for it may hang as well
    speaker.start()
    speaker.join(_LAST)
    os._exit(exit_code)


def end_process_within(seconds: float, exit_code: int) -> None:
    """End the process with `exit_code` unless it has ended by itself, as when its threads still finish a long tile."""
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def stoppable(grace: float = GRACE) -> Iterator[None]:
    """Within it the first SIGINT or SIGTERM raises `Interrupted` in the main thread, and the second ends the process.

    Python's handlers wait for the main thread to leave compiled code, which may take long; so a thread of its own,
    woken through a pipe by the signal itself, ends the process after `grace` seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)
        if len(received) > 1:
            os._exit(128 + signum)
        raise Interrupted(signum)

    finished = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        woken_by = os.read(reading, 1)
        if woken_by and not finished.wait(grace):
            _end_now(128 + woken_by[0])

    watcher = threading.Thread(target=watch, name="gpu-var-signals", daemon=True)
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    previous_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher.start()
    try:
        for number in previous:
            signal.signal(number, stop)
        yield
    finally:
        finished.set()
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(writing)
        watcher.join()
        os.close(reading)
