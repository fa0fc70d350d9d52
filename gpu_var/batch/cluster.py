"""Dask clusters: one that is there already, or workers started on this machine for the time of a run."""

import contextlib
import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

from gpu_var.backend import Name
from gpu_var.batch.errors import RunError, UsageError

Say = Callable[[str], None]

_CONNECT = 30.0  # seconds
_CLOSE = 1.0  # seconds to say goodbye in; the contract leaves five for everything

_SETTINGS = {
    # A shard that has ended so many workers is at fault itself.
    "distributed.scheduler.allowed-failures": 5,
    # Who hangs is found here; Dask would go by the wall clock, and lose every worker when that is set.
    "distributed.scheduler.worker-ttl": None,
    "distributed.comm.timeouts.connect": f"{_CONNECT:.0f}s",
    # Results go from a worker straight to this process: nothing is spilled, nobody is paused for his memory.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # Nobody looks at what Dask measures of itself; every look takes the interpreter from the shard.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.diagnostics.nvml": False,
    # Dask has workers give every array back to the system at once; a third of the time would go into page faults.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}


def dask() -> ModuleType:
    """The package `distributed`. Raises `UsageError` where it is not installed, naming what to install."""
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("--workers and --scheduler need Dask, which is not installed: pip install 'gpu-var[dask]'")
    return importlib.import_module("distributed")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the scheduler at `address`. Raises `RunError` where there is none."""
    distributed = dask()
    with _configured(), _quiet():
        try:
            client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise RunError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from error
        try:
            yield client
        finally:
            _close(client)


@contextlib.contextmanager
def started(workers: int, backend: Name, say: Say) -> Iterator[Any]:
    """A client of as many processes of one thread each, on this machine; on GPUs, one each where dask-cuda is there."""
    distributed = dask()
    kind = distributed.LocalCluster
    if backend == "cuda":
        if importlib.util.find_spec("dask_cuda") is not None:
            kind = importlib.import_module("dask_cuda").LocalCUDACluster
        elif workers > 1:
            say(f"dask-cuda is not installed, so the {workers} workers share one GPU")
    with _configured(), _quiet():
        try:
            with _undisturbed() as deliver:
                cluster = kind(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise RunError(f"--workers {workers}: the workers do not start ({error})") from error
        try:
            deliver()
            client = distributed.Client(cluster, timeout=_CONNECT, set_as_default=False)
            client.register_plugin(_deaf(distributed), name="gpu-var-deaf")
            yield client
            _close(client)
        finally:
            _kill(cluster)  # in the middle of a shard, or on a busy machine, they would not hear that they are to end
            _close(cluster)


@contextlib.contextmanager
def _undisturbed() -> Iterator[Callable[[], None]]:
    """While workers start, a signal waits, for Dask cannot be stopped half-way; what is yielded lets it through.

    The workers inherit that Ctrl-C, which the terminal sends to them too, does not reach them.
    """
    came: list[int] = []

    def deliver() -> None:
        if came:
            os.kill(os.getpid(), came[0])

    if threading.current_thread() is not threading.main_thread():
        yield deliver
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda signum, _: came.append(signum)) for number in numbers}
    resource_tracker.ensure_running()  # when it starts, it lets SIGINT through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield deliver
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)


def _deaf(distributed: ModuleType) -> Any:
    """A plugin by which workers leave Ctrl-C, which the terminal sends them too, to the process that started them."""

    class Deaf(distributed.WorkerPlugin):  # type: ignore[misc, name-defined]
        def setup(self, worker: Any) -> None:  # noqa: ARG002 - as the base class has it
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


def _close(what: Any) -> None:
    """Close a client or a cluster. What it has not done in time ends with this process, and spoils no result."""
    with contextlib.suppress(TimeoutError):
        what.close(timeout=_CLOSE)


def _kill(cluster: Any) -> None:
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        if nanny.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


@contextlib.contextmanager
def _configured() -> Iterator[None]:
    settings = importlib.import_module("dask").config
    with settings.set(_SETTINGS):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask tells of lost workers and broken connections at length; what matters of that is told by the run.

    It stays quiet: some of it comes when the cluster has been closed.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    yield
