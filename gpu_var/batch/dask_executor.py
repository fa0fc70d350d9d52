"""Shards computed by Dask workers: the market goes to each of them once, a shard's positions where it is computed."""

import asyncio
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager
from importlib.metadata import version
from itertools import chain
from typing import Any

from gpu_var import __version__
from gpu_var.backend import Name
from gpu_var.batch.cluster import Say, connected, dask, started
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.batch.executors import Listener, Results
from gpu_var.batch.shards import Market, Shard
from gpu_var.batch.store import Arrays

TIMEOUT = 1800.0
"""Seconds after which a worker that has not ended a shard is taken to hang, unless the caller says otherwise."""

AHEAD = 2
"""Shards given out for each thread of the workers: one that it computes, and the next."""

_ATTEMPTS = 5
_TRANSFER = 300.0  # seconds that a result or the market may take from one process to another
_LOOK = 1.0  # seconds between two looks at the workers


def executor(
    workers: int | None, scheduler: str | None, timeout: float | None, threads: int | None, cores: int, say: Say
) -> "Dask | None":
    """Who computes, as the command line asks for it; None: this process.

    Args:
        workers: `--workers`; scheduler: `--scheduler`; timeout: `--shard-timeout`.
        threads: `--threads`: of this machine's workers together, else of each shard.
        cores: of this machine, in place of `threads`.
        say: is given notes for the user.

    Raises:
        UsageError: options that make no sense, or Dask is not installed.
    """
    if workers is None and scheduler is None:
        if timeout is not None:
            raise UsageError("--shard-timeout goes with --workers or --scheduler; give one of them")
        return None
    if workers is not None and scheduler is not None:
        raise UsageError("--workers and --scheduler exclude each other: give one of them")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"--shard-timeout {timeout}; expected seconds > 0")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}; expected at least 1")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}; expected at least 1")
    dask()
    seconds = TIMEOUT if timeout is None else timeout
    if workers is not None:
        each = max(1, (threads or cores) // workers)
        return Dask(lambda backend: started(workers, backend, say), each, seconds, say)
    address = str(scheduler)
    return Dask(lambda _backend: connected(address), threads or 1, seconds, say)


class Dask:
    """Dask workers; see `Executor`. A shard whose worker is lost, or hangs, is computed by another.

    Args:
        client: for a backend, a context with a client of the cluster.
        threads: of each shard.
        timeout: seconds after which a worker that has not ended a shard is restarted.
        say: is given notes for the user.
    """

    def __init__(
        self, client: Callable[[Name], AbstractContextManager[Any]], threads: int, timeout: float, say: Say
    ) -> None:
        self._client, self._threads, self._timeout, self._say = client, threads, timeout, say

    def run(self, market: Market, shards: Iterable[Shard], listener: Listener) -> Results:
        """See `Executor`. Raises `RunError` where the workers are lost for good."""
        left = iter(shards)
        for _ in range(_ATTEMPTS):
            with self._client(market.backend) as client:
                dispatch = _Dispatch(client, market, self._threads, self._timeout, self._say, listener)
                try:
                    yield from dispatch.run(left)
                    return
                except _SilentError as error:
                    listener.event("scheduler_silent", "warning")
                    self._say(f"{error}; once more, over another connection")
                    left = chain(dispatch.given(), left)
        raise RunError(f"the Dask scheduler has fallen silent {_ATTEMPTS} times; --resume goes on with another")


class _SilentError(Exception):
    """What is given to the scheduler does not come to any worker, or what they have done does not come back."""


class _Dispatch:
    """Gives shards out and collects their results."""

    def __init__(self, client: Any, market: Market, threads: int, timeout: float, say: Say, listener: Listener) -> None:
        self._client, self._market, self._threads, self._timeout = client, market, threads, timeout
        self._say, self._listener = say, listener
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._given: dict[str, tuple[Any, Shard, int]] = {}  # key -> future, shard, attempt
        self._there: Any = None  # the market, on the workers
        self._workers: dict[str, int] = {}  # address -> threads
        self._busy: dict[str, tuple[frozenset[str], float]] = {}  # address -> what it has, since when none of it ended
        self._looked = self._idle_since = self._active = time.monotonic()
        self._versions = versions()

    def run(self, shards: Iterator[Shard]) -> Results:
        self._wait_for_workers()
        left = True
        while True:
            while left and len(self._given) < AHEAD * max(1, sum(self._workers.values())):
                shard = next(shards, None)
                if shard is None:
                    left = False
                else:
                    self._give(shard)
            if not self._given:
                return
            future = self._next()
            if future is not None:
                shard, arrays = self._collect(future)
                if arrays is not None:
                    yield shard.name, arrays

    def given(self) -> list[Shard]:
        """The shards that have been given out, and have not come back."""
        return [shard for _, shard, _ in self._given.values()]

    def _wait_for_workers(self) -> None:
        self._look()
        if not self._workers:
            self._say("waiting for a worker")
        begun = time.monotonic()
        while not self._workers:
            if time.monotonic() - begun > self._timeout:
                raise RunError(f"no worker has come for {self._timeout:g} s; start workers, then --resume")
            time.sleep(0.2)
            self._look()

    def _give(self, shard: Shard, attempt: int = 1) -> None:
        if self._there is None:
            self._there = self._broadcast()
        # A key of its own, for Dask would remember an attempt that went wrong.
        key = f"{shard.name}-{attempt}-{id(self):x}"
        future = self._client.submit(
            _compute, self._there, shard, self._threads, self._versions, key=key, pure=False, retries=0
        )
        self._given[key] = future, shard, attempt
        self._active = time.monotonic()
        future.add_done_callback(self._ended.put)

    def _broadcast(self) -> Any:
        """The market on every worker. One that does not take it is restarted."""
        for _ in range(_ATTEMPTS):
            try:
                return self._within(self._client.scatter(self._market, broadcast=True, hash=False, asynchronous=True))
            except TimeoutError:
                self._restart_silent()
        raise RunError(f"the workers did not take the market in {_ATTEMPTS} attempts; --resume goes on with others")

    def _within(self, coroutine: Any) -> Any:
        """What it comes to. Raises `TimeoutError` where it does not in time, as with a worker that hangs."""
        seconds = min(self._timeout, _TRANSFER)
        running = asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)
        try:
            return running.result(seconds)
        except FutureTimeoutError as error:
            running.cancel()
            raise TimeoutError from error

    def _next(self) -> Any:
        """A future that has ended; None if none does within a while."""
        if time.monotonic() - self._looked >= _LOOK:
            self._look()
        try:
            return self._ended.get(timeout=_LOOK)
        except queue.Empty:
            return None

    def _collect(self, future: Any) -> tuple[Shard, Arrays | None]:
        """The result of a shard; None where it has been given out once more."""
        _, shard, attempt = self._given.pop(future.key)
        distributed = dask()
        try:
            if future.status in ("cancelled", "lost"):
                raise CancelledError(future.status)
            worker, arrays = future.result(timeout=min(self._timeout, _TRANSFER))
        except distributed.KilledWorker as error:
            raise RunError(
                f"shard {shard.name} has ended several workers, the last of them {error.last_worker.address}; "
                "probably memory is short: give fewer workers, or a smaller chunk_megabytes in [batch]"
            ) from error
        except (CancelledError, TimeoutError, distributed.comm.CommClosedError) as error:
            if attempt == _ATTEMPTS:
                raise RunError(
                    f"the workers were lost {attempt} times while they computed shard {shard.name}"
                ) from error
            if isinstance(error, TimeoutError):
                self._restart_silent()  # whoever has the result does not hand it over
            else:
                self._there = None  # the market may be lost with them
            self._give(shard, attempt + 1)
            return shard, None
        self._listener.done(shard, worker=worker, attempt=attempt)
        return shard, arrays

    def _look(self) -> None:
        """Who is there, and does anyone hang?"""
        self._looked = now = time.monotonic()
        workers, busy = self._asked(lambda: (self._client.nthreads(), self._client.processing()))
        for address in self._workers.keys() - workers.keys():
            self._listener.event("worker_lost", "warning", worker=address)
            self._say(f"worker {address} is lost; its shards are computed by others")
        self._workers = dict(workers)
        if self._workers:
            self._idle_since = now
        elif now - self._idle_since > self._timeout:
            raise RunError(f"there has been no worker for {self._timeout:,.0f} s; --resume goes on when there are some")
        before, self._busy = self._busy, {}
        for address, keys in busy.items():
            has = frozenset(keys) & self._given.keys()
            had, since = before.get(address, (frozenset(), now))
            if not had or had - has:
                since = now
            self._busy[address] = has, since
            if has:
                self._active = now
            if has and now - since > self._timeout:
                self._restart(address, f"has ended no shard for {self._timeout:,.0f} s")
        if self._given and self._ended.empty() and now - self._active > self._timeout:
            self._active = now
            self._refuse_silence()

    def _refuse_silence(self) -> None:
        """Raise `_SilentError` where the scheduler does not know what it was given, or that it is done.

        Dask holds messages back until a time of the wall clock, which may have been set back since.
        """
        given = list(self._given)
        states = self._asked(lambda: self._client.sync(self._client.scheduler.get_task_status, keys=given))
        if all(state in (None, "memory") for state in states.values()):
            raise _SilentError(f"the Dask scheduler has had nothing computed for {self._timeout:,.0f} s")

    def _asked(self, question: Callable[[], Any]) -> Any:
        """What the scheduler answers. Raises `RunError` where it is gone."""
        try:
            return question()
        except (OSError, TimeoutError) as error:
            raise RunError(f"the Dask scheduler is lost ({error}); --resume goes on with another") from error

    def _restart_silent(self) -> None:
        """Restart the workers that do not answer."""
        for address in list(self._client.nthreads()):
            try:
                self._within(self._client.run(_awake, workers=[address], asynchronous=True))
            except TimeoutError:
                self._restart(address, "does not answer")
            except (OSError, ValueError) as error:  # it is gone already, which the next look tells
                self._listener.event("worker_silent", "warning", worker=address, error=str(error))

    def _restart(self, address: str, why: str) -> None:
        self._busy.pop(address, None)
        self._listener.event("worker_restarted", "warning", worker=address)
        self._say(f"worker {address} {why}, and is restarted")
        try:
            self._client.restart_workers([address], timeout=60, raise_for_error=True)
        except Exception as error:  # whatever it is, there is nobody left who could end that worker
            raise RunError(
                f"worker {address} hangs and cannot be restarted ({error}); end it, then --resume"
            ) from error


def versions() -> dict[str, str]:
    """Versions that numbers depend on."""
    return {"gpu-var": __version__, **{name: version(name) for name in ("numpy", "scipy")}}


def _awake() -> bool:
    """On a worker: that it answers."""
    return True


def _compute(market: Market, shard: Shard, threads: int, wanted: dict[str, str]) -> tuple[str, Arrays]:
    """On a worker: its address, and the result."""
    worker = dask().get_worker().address
    there = versions()
    if there != wanted:
        raise RunError(f"worker {worker} has {there}, the run {wanted}; expected the same versions everywhere")
    return worker, shard.compute(market, threads, lambda _share: None)
