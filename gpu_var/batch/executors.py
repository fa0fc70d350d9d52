"""Who computes the shards of a run."""

from collections.abc import Generator, Iterable
from functools import partial
from typing import Any, Protocol

from gpu_var.batch.shards import Market, Shard
from gpu_var.batch.store import Arrays
from gpu_var.batch.watch import Level

Results = Generator[tuple[str, Arrays], None, None]


class Listener(Protocol):
    """Who is told how shards go."""

    def share(self, shard: Shard, share: float) -> None:
        """So much of a shard is done."""

    def done(self, shard: Shard, **facts: Any) -> None:
        """A shard is done; `facts` are JSON values."""

    def event(self, name: str, level: Level = "info", /, **facts: Any) -> None:
        """Something else has happened."""


class Executor(Protocol):
    """Computes shards, to the same bits whoever it is."""

    def run(self, market: Market, shards: Iterable[Shard], listener: Listener) -> Results:
        """Name and result of every shard, in any order; closing the iterator ends the work."""


class Local:
    """This process, one shard after another."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def run(self, market: Market, shards: Iterable[Shard], listener: Listener) -> Results:
        """See `Executor`."""
        for shard in shards:
            arrays = shard.compute(market, self._threads, partial(listener.share, shard))
            listener.done(shard)
            yield shard.name, arrays
