"""Which of many rows stand in a store that has room for a few: the one asked for longest ago gives way first."""

import numpy as np

from gpu_var.tables.book import I8, Bool


class Slots:
    """The slots of a store with room for `size` of the rows 0 to n − 1; it holds none to begin with.

    Args:
        n: how many rows there are.
        size: how many of them have room, at least 1.
    """

    def __init__(self, n: int, size: int) -> None:
        self.size = size
        self._slot = np.full(n, -1, dtype=np.int64)  # of each row, −1 for one that is not there
        self._row = np.full(size, -1, dtype=np.int64)  # in each slot, −1 for none
        self._asked = np.zeros(size, dtype=np.int64)  # when the slot was last asked for, 0 for a free one
        self._now = 0

    @property
    def free(self) -> int:
        """How many slots hold nothing."""
        return int(np.count_nonzero(self._row < 0))

    def held(self, rows: I8) -> Bool:
        """(n_rows,): the row is in the store."""
        return np.asarray(self._slot[rows] >= 0)

    def place(self, rows: I8) -> tuple[I8, Bool]:
        """Slots for some rows, and which of them are still to be filled and then told of to `keep`.

        What gives way for them is forgotten at once, so that a store half filled holds nothing wrong.

        Args:
            rows: none of them twice.

        Returns:
            (n_rows,) slots, no two the same, and whether the row is new.

        Raises:
            ValueError: more rows than slots.
        """
        if len(rows) > self.size:
            raise ValueError(f"{len(rows)} rows; expected at most {self.size}, for so many have room")
        self._now += 1
        slot = self._slot[rows]
        new = slot < 0
        self._asked[slot[~new]] = self._now
        oldest = np.argsort(self._asked, kind="stable")[: np.count_nonzero(new)]
        gone = self._row[oldest]
        self._slot[gone[gone >= 0]] = -1
        self._row[oldest], self._asked[oldest] = -1, 0
        slot[new] = oldest
        return slot, new

    def keep(self, rows: I8, slots: I8) -> None:
        """The rows now stand in these slots, of `place`."""
        self._slot[rows], self._row[slots], self._asked[slots] = slots, rows, self._now
