"""One run at a time in an output folder: an advisory lock on a file, released by the system when the process dies."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gpu_var.batch.errors import RunError, WriteError

_ATTEMPTS = 10
_PAUSE = 0.02  # seconds: `holder` of another process may have the lock for a moment


class InUseError(RunError):
    """Another run has the output folder."""

    def __init__(self, out: Path, process: str) -> None:
        who = f"process {process}" if process else "another process"
        super().__init__(f"{out} is in use by another run ({who}); wait for it to end, or choose another --out")


def refuse_if_in_use(out: Path, file: Path) -> None:
    """Raise `InUseError` where another run holds `file`, and change nothing."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError(out, _holder(descriptor)) from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(out: Path, file: Path) -> Iterator[None]:
    """Hold the lock `file` of the output folder `out`. Raises `InUseError`, naming the process that holds it."""
    descriptor = _acquire(out, file)
    try:
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise WriteError(file, error) from error
        yield
    finally:
        os.close(descriptor)


def _acquire(out: Path, file: Path) -> int:
    descriptor = -1
    for attempt in range(_ATTEMPTS):
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, file):
                return descriptor
        except BlockingIOError:
            if attempt == _ATTEMPTS - 1:
                process = _holder(descriptor)
                os.close(descriptor)
                raise InUseError(out, process) from None
        except FileNotFoundError:  # the run that had it has just ended, and its folder with it
            file.parent.mkdir(exist_ok=True)
            continue
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            if error.errno in (errno.ENOLCK, errno.ENOTSUP):
                error = OSError(error.errno, f"its file system has no locks ({error.strerror})")
            raise WriteError(file, error) from error
        os.close(descriptor)
        descriptor = -1
        time.sleep(_PAUSE)
    raise InUseError(out, "")


def _is_at(descriptor: int, file: Path) -> bool:
    """False where the run that had it has removed the file between opening and locking it."""
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
