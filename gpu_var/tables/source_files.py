"""A source that has been fetched: files that lie here, and what messages call them."""

import contextlib
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Stamp = tuple[int, int]

_PATIENCE = 1.0  # seconds that a server has to cancel what it does; a signal must end a run soon, whatever it says


@dataclass(frozen=True)
class Part:
    """One file of a table: where it lies, what messages call it, and the columns that its folders' names hold."""

    path: Path
    name: str
    constants: tuple[tuple[str, str], ...] = ()  # of folders named `key=value`
    text_times: bool = False  # times may be text: the database has no type for them


class Spool:
    """A folder for what was fetched. It goes when nothing of this process refers to it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gpu-var-"))
        self._end = weakref.finalize(self, _remove, self.path, os.getpid())
        _SPOOLS.add(self)

    def remove(self) -> None:
        """Remove the folder now."""
        self._end()

    def __reduce__(self) -> tuple[Any, ...]:
        return _borrowed, (self.path,)  # a copy in another process does not own the folder


_SPOOLS: "weakref.WeakSet[Spool]" = weakref.WeakSet()


def remove_spools() -> None:
    """Remove what was fetched: for a process that is ended where it stands."""
    for spool in list(_SPOOLS):
        spool.remove()


class SpoolError(OSError):
    """What was fetched cannot be written here: the disk of temporary files is full, most likely."""

    def __init__(self, file: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(error.errno, f"{reason}: what is fetched is kept here while the run lasts (TMPDIR)", str(file))


def _remove(path: Path, owner: int) -> None:
    if os.getpid() != owner:  # a forked child leaves it to its parent
        return
    for _ in range(3):  # a thread that fetches may have put another file there meanwhile
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return


def _borrowed(path: Path) -> Spool:
    spool = Spool.__new__(Spool)
    spool.path = path
    return spool


@dataclass(frozen=True)
class Fetched:
    """A table's files. `digests` are SHA-256 by the name that run.json gives them."""

    label: str  # what messages call the table, such as `positions (s3://bucket/positions/)`
    parts: tuple[Part, ...]
    digests: Mapping[str, str]
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)  # of files that were not copied, before they were read
    spool: Spool | None = None  # where copies lie, as long as this does

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(part.path for part in self.parts)


class HaltedError(Exception):
    """Whoever asked for this does not wait any more."""


class Halt:
    """How one thread tells another to stop fetching."""

    def __init__(self) -> None:
        self._called = threading.Event()
        self._cancel: Callable[[], object] | None = None

    def call(self) -> None:
        """Stop: what runs is cancelled, and nothing more is begun. Returns soon, whenever the server answers."""
        self._called.set()
        cancel = self._cancel
        if cancel is None:
            return

        def ask() -> None:
            with contextlib.suppress(Exception):  # it may have ended meanwhile
                cancel()

        asking = threading.Thread(target=ask, name="gpu-var-cancel", daemon=True)
        asking.start()
        asking.join(_PATIENCE)

    def check(self) -> None:
        """Raise `HaltedError` once the halt is called."""
        if self._called.is_set():
            raise HaltedError

    @contextlib.contextmanager
    def cancelling(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Within it, `cancel` ends what runs."""
        self.check()
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = None


def stamp(path: Path) -> Stamp:
    """Size and time of change, to tell whether a file was replaced while it was read."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns
