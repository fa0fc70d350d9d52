"""A run as those see it who wait for it: one object, called as `progress`, that tells every observer what happens.

An observer is called with an `Event`: a bar, lines, a log, metrics, a record in the output folder. What it raises as
`OSError` or `WriteError` ends the observer, is said once, and does not end the run.
"""

import os
import platform
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal

from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.tables.findings import InputError

Level = Literal["info", "warning", "error"]

TICK = 0.5
"""Seconds between two events `tick`, so that observers learn that time passes while a stage says nothing."""

WINDOW, SAMPLE = 30.0, 0.1
"""Seconds over which a rate is taken, and between two points of it."""

LISTED = 1000
"""Failed accounts that are told one by one; all of them stand in margin.parquet."""


@dataclass(frozen=True)
class State:
    """How far a run has come. Times in seconds by a clock that never jumps."""

    run: str  # names this run and no other
    elapsed: float = 0.0
    stage: str | None = None
    stage_elapsed: float = 0.0
    fraction: float | None = None  # of the stage; None where it cannot tell
    done: int | None = None  # of the stage's `total`, in `unit`, where there is a plan
    total: int | None = None
    unit: str | None = None  # revaluations, instruments
    rate: float | None = None  # `unit` a second
    left: float | None = None  # seconds to the end of the stage
    shards: int | None = None  # of all stages
    shards_done: int = 0  # those found included
    shards_found: int = 0  # done by an earlier run that this one resumes
    revaluations: int | None = None  # of the plan
    revaluations_done: int = 0
    accounts_failed: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage, those ended
    exit_code: int | None = None  # once it has ended


@dataclass(frozen=True)
class Event:
    """Something that happened, and how far the run has come by it.

    `name`: run_begun, stage_begun, progress, stage_ended, planned, shard_found, shard_spoilt, shard_done, worker_lost,
    note, account_failed, run_ended or tick; a runner may tell others.
    """

    name: str
    time: datetime  # UTC, never before that of an earlier event
    state: State
    level: Level = "info"
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON values


Observer = Callable[[Event], None]

REVALUATIONS = "revaluations"


@dataclass
class _Plan:
    """How much there is to do in a stage, and how much is done: by shards, and by what the stage says."""

    total: int
    unit: str
    by_shards: int = 0
    done: int = 0

    def share(self, fraction: float | None) -> float:
        """Of the total that is done, where the stage says `fraction`."""
        self.done = min(self.total, max(self.done, self.by_shards, round((fraction or 0.0) * self.total)))
        return self.done / self.total if self.total else fraction or 0.0


class Watch:
    """Tells observers what happens to a run; without observers it costs next to nothing. For any thread.

    As a context manager it tells the beginning and the end, with the error that ended it.
    """

    def __init__(self, observers: Iterable[Observer] = (), **facts: Any) -> None:
        """`facts` are JSON values that are told with the beginning: what is run."""
        self._observers = list(observers)
        self._facts = facts
        self._lock = threading.RLock()
        self._started, self._begun = datetime.now(UTC), time.perf_counter()
        self._state = State(f"{self._started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}")
        self._plans: dict[str, _Plan] = {}  # by stage
        self._stage_begun = self._begun
        self._samples: deque[tuple[float, float]] = deque()  # time, fraction done by this run
        self._found = 0.0  # fraction of the stage that an earlier run had done
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None
        self._exit_code = 0

    @property
    def run(self) -> str:
        """The name of this run: when it was started, and a random number."""
        return self._state.run

    @property
    def state(self) -> State:
        """How far the run has come."""
        with self._lock:
            return self._now()

    def __enter__(self) -> "Watch":
        self.event("run_begun", **self._facts, host=platform.node(), process=os.getpid())
        if self._observers:
            self._ticker = threading.Thread(target=self._tick, name="gpu-var-watch", daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._ticker is not None:
            self._ticker.join(timeout=1.0)
            self._ticker = None
        if error is not None:
            self.end(exit_code_of(error), error)
        else:
            self.end(self._exit_code)

    def __call__(self, stage: str, fraction: float | None = None) -> None:
        """`stage` has come to `fraction` in [0, 1]; None: it cannot tell. Another stage than before ends that one."""
        with self._lock:
            if stage != self._state.stage:
                self._end_stage()
                self._stage_begun = time.perf_counter()
                self._samples.clear()
                self._found = 0.0
                self._state = replace(self._state, stage=stage, fraction=fraction)
                self.event("stage_begun")
            self._advance(self._state.fraction if fraction is None else fraction)
            self.event("progress")

    def plan(self, stage: str, total: int, unit: str = REVALUATIONS, shards: int | None = None) -> None:
        """Say how much there is to be done in `stage`, in all, and in how many shards; before it begins or after."""
        with self._lock:
            self._plans[stage] = _Plan(total, unit)
            if shards is not None:
                self._state = replace(self._state, shards=(self._state.shards or 0) + shards)
            self.event("planned", stage=stage, total=total, unit=unit, shards=shards)

    def shard(self, name: str, stage: str, work: int, found: bool = False, **facts: Any) -> None:
        """A shard of a planned stage is done, or was found done by the run that this one resumes; that counts for no
        rate. `work` in the unit of the plan; `facts` are JSON values, such as the worker.

        A runner that tells its shards need not tell the stage's fraction.
        """
        with self._lock:
            state, plan = self._state, self._plans[stage]
            plan.by_shards += work
            self._state = replace(state, shards_done=state.shards_done + 1, shards_found=state.shards_found + found)
            if stage == state.stage:
                if found and plan.total:
                    self._found += work / plan.total
                self._advance(state.fraction)
            self.event("shard_found" if found else "shard_done", shard=name, stage=stage, work=work, **facts)

    def failed(self, accounts: Iterable[tuple[str, str]], count: int) -> None:
        """`count` accounts failed: their names and the reasons, of which the first `LISTED` are told one by one."""
        with self._lock:
            self._state = replace(self._state, accounts_failed=count)
            for (account, reason), _ in zip(accounts, range(LISTED), strict=False):
                self.event("account_failed", "error", account=account, reason=reason)
            if count > LISTED:
                self.event("account_failed", "error", more=count - LISTED)

    def event(self, name: str, level: Level = "info", /, **facts: Any) -> None:
        """Tell every observer that something happened; `facts` are JSON values."""
        if not self._observers:
            return
        with self._lock:
            event = Event(name, self._time(), self._now(), level, facts)
            for observer in list(self._observers):
                self._tell(observer, event)

    def add(self, observer: Observer) -> None:
        """One more observer, from now on."""
        with self._lock:
            self._observers.append(observer)

    def remove(self, observer: Observer) -> None:
        """The observer is told no more."""
        with self._lock:
            if observer in self._observers:
                self._observers.remove(observer)

    def finish(self, exit_code: int) -> int:
        """Say with which code the run will end, if nothing else happens; returns it."""
        self._exit_code = exit_code
        return exit_code

    def end(self, exit_code: int, error: BaseException | None = None) -> None:
        """The run is over; a second call does nothing. For a process that ends where it stands: `__exit__` does it."""
        if not self._lock.acquire(timeout=1.0):  # whoever has it hangs, and the process must end
            return
        try:
            if self._state.exit_code is None:
                if error is None:
                    self._end_stage()
                self._state = replace(self._state, exit_code=exit_code)
                self.event("run_ended", "error" if exit_code else "info", **outcome(exit_code, error))
        finally:
            self._lock.release()

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self.event("tick")

    def _end_stage(self) -> None:
        stage = self._state.stage
        if stage is None:
            return
        spent = time.perf_counter() - self._stage_begun
        seconds = {**self._state.seconds, stage: self._state.seconds.get(stage, 0.0) + spent}
        fraction = self._state.fraction  # a planned stage may be taken up again
        over = fraction if fraction is None or stage in self._plans else 1.0
        self._state = replace(self._state, seconds=seconds, fraction=over)
        self.event("stage_ended", seconds=round(spent, 6))

    def _advance(self, fraction: float | None) -> None:
        now = time.perf_counter()
        plan = self._plans.get(self._state.stage or "")
        if plan is not None:
            fraction = plan.share(fraction)
        self._state = replace(self._state, fraction=fraction)
        if fraction is not None and (not self._samples or now - self._samples[-1][0] >= SAMPLE):
            self._samples.append((now, fraction - self._found))
            while len(self._samples) > 2 and self._samples[1][0] < now - WINDOW:
                self._samples.popleft()

    def _now(self) -> State:
        now = time.perf_counter()
        state, plan = self._state, self._plans.get(self._state.stage or "")
        revalued = [p for p in self._plans.values() if p.unit == REVALUATIONS]
        rate = left = None
        if self._samples and state.fraction is not None:
            (since, before), after = self._samples[0], state.fraction - self._found
            if after > before and now > since:
                speed = (after - before) / (now - since)
                left = max(0.0, (1.0 - state.fraction) / speed)
                rate = speed * plan.total if plan else None
        return replace(
            state,
            elapsed=now - self._begun,
            stage_elapsed=0.0 if state.stage is None else now - self._stage_begun,
            rate=rate,
            left=left,
            done=plan.done if plan else None,
            total=plan.total if plan else None,
            unit=plan.unit if plan else None,
            revaluations=sum(p.total for p in revalued) if revalued else None,
            revaluations_done=sum(p.done for p in revalued),
        )

    def _time(self) -> datetime:
        """When it started, and what has passed since: so that a clock that jumps turns no order around."""
        return self._started + timedelta(seconds=time.perf_counter() - self._begun)

    def _tell(self, observer: Observer, event: Event) -> None:
        try:
            observer(event)
        except (OSError, WriteError) as error:
            self._observers.remove(observer)
            text = f"{error}; the run goes on without it"
            print(f"error: {text}", file=sys.stderr)
            self.event("observer_lost", "error", message=text)


def exit_code_of(error: BaseException) -> int:
    """The contract's exit code of a run that `error` ends."""
    if isinstance(error, (InputError, UsageError)):
        return 2
    if isinstance(error, KeyboardInterrupt):
        return int(getattr(error, "exit_code", 130))
    return 1


def outcome(exit_code: int, error: BaseException | None = None) -> dict[str, Any]:
    """How a run ended: `state` (finished, refused, failed, interrupted), `exit_code`, and the kind and message of the
    error.
    """
    states = {0: "finished", 3: "finished", 2: "refused", 130: "interrupted", 143: "interrupted"}
    told: dict[str, Any] = {"state": states.get(exit_code, "failed"), "exit_code": exit_code}
    if error is not None:
        told["error"] = {"kind": type(error).__name__, "message": str(error) or type(error).__name__}
    return told
