"""Positions kept in a file: streamed in as they come, added up account by account, read back for a few at a time."""

import contextlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

ROWS = 1 << 20
"""Of a part, which is sorted in memory; an account that has more is a part of its own."""

ROW = np.dtype([("account", np.int32), ("instrument", np.int32), ("quantity", np.float64)])
Rows = npt.NDArray[np.void]


class Stored:
    """The positions of a book in a file, one row an (account, instrument), ascending; accounts are rows of `Accounts`.

    Attributes:
        begin: (n_accounts + 1,) the row of the file with which each account's positions begin.
        held: (n_instruments,): some account's quantity is not zero.
    """

    def __init__(self, file: "Spill", begin: I8, held: Bool) -> None:
        self._file, self.begin, self.held = file, begin, held

    def read(self, accounts: range) -> Rows:
        """The positions of some accounts, of type `ROW`."""
        first, last = self.begin[accounts.start], self.begin[accounts.stop]
        return self._file.read(int(first), int(last))


class Spill:
    """Rows in a temporary file without a name, so that it goes with the process, however that ends.

    Raises `OSError`, naming the folder and the remedy, where the disk of temporary files is full.
    """

    def __init__(self) -> None:
        with _full():
            self._file = cast(BinaryIO, tempfile.TemporaryFile(prefix="gpu-var-"))  # noqa: SIM115 - open while this is
        self._end = weakref.finalize(self, self._file.close)
        self.rows = 0

    def append(self, rows: Rows) -> None:
        """Write rows at the end."""
        self.write(self.rows, rows)

    def write(self, first: int, rows: Rows) -> None:
        """Write rows from the row `first` on."""
        view, at = rows.view(np.uint8).data, first * ROW.itemsize
        with _full():
            while view:
                written = os.pwrite(self._file.fileno(), view, at)
                view, at = view[written:], at + written
        self.rows = max(self.rows, first + len(rows))

    def read(self, first: int, last: int) -> Rows:
        """The rows from `first` to before `last`. Raises `OSError` where the file has lost them."""
        out = np.empty(last - first, ROW)
        view, at = out.view(np.uint8).data, first * ROW.itemsize
        while view:
            got = os.preadv(self._file.fileno(), [view], at)
            if not got:
                raise OSError(f"a temporary file of positions in {tempfile.gettempdir()} has become shorter")
            view, at = view[got:], at + got
        return out

    def blocks(self, rows: int) -> Iterator[Rows]:
        """All rows, so many at a time."""
        for first in range(0, self.rows, rows):
            yield self.read(first, min(first + rows, self.rows))

    def close(self) -> None:
        """Give the room back now."""
        self._end()


@contextlib.contextmanager
def _full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}: positions are kept there while the run lasts; TMPDIR names another folder"
        raise OSError(error.errno, reason, tempfile.gettempdir()) from error
