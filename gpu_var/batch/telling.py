"""What a run tells of its stages and shards while they go on, and how long they took."""

import time
from collections.abc import Mapping
from typing import Any

from gpu_var.batch.shards import Shard
from gpu_var.batch.watch import REVALUATIONS, Level, Watch
from gpu_var.engine import Progress

_UNITS = {"greeks": "instruments", "revalue": REVALUATIONS}


class Telling:
    """Seconds by stage, and whoever is told of them.

    Args:
        progress: called with a stage and the share of it that is done; a `Watch` is told of shards as well.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._watch = progress if isinstance(progress, Watch) else None
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "", time.perf_counter()
        self._total: Mapping[str, int] = {}
        self._share: dict[str, dict[str, float]] = {}  # stage -> shard -> its work that is done

    def begin(self, stage: str, *, told: bool = True) -> None:
        """Time counts for that stage from now on."""
        self.end()
        if told:
            self._progress(stage, 0.0)
        self._stage = stage

    def end(self) -> None:
        """The stage that was begun ends, for now or for good."""
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = "", now

    def plan(self, work: Mapping[str, int], shards: Mapping[str, int]) -> None:
        """How much each stage has to do, and in how many shards."""
        self._total = work
        if self._watch is not None:
            for stage, total in work.items():
                self._watch.plan(stage, total, _UNITS[stage], shards[stage])

    def found(self, name: str, stage: str, work: int) -> None:
        """A shard is there already."""
        self._share.setdefault(stage, {})[name] = float(work)
        if self._watch is not None:
            self._watch.shard(name, stage, work, found=True)

    def share(self, shard: Shard, share: float) -> None:
        """So much of a shard is done."""
        done = self._share.setdefault(shard.stage, {})
        done[shard.name] = share * shard.work
        if shard.stage == self._stage:  # those of the next stage may be ahead of the last ones of this
            self._progress(shard.stage, min(1.0, sum(done.values()) / max(1, self._total[shard.stage])))

    def done(self, shard: Shard, **facts: Any) -> None:
        """A shard is done; `facts` are JSON values."""
        self.share(shard, 1.0)
        if self._watch is not None:
            self._watch.shard(shard.name, shard.stage, shard.work, **facts)

    def event(self, name: str, level: Level = "info", /, **facts: Any) -> None:
        """Something else has happened."""
        if self._watch is not None:
            self._watch.event(name, level, **facts)
