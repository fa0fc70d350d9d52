"""What is known of a run that has not come to its end, in `OUT/.gpu-var/run.json`; OUT itself is left as it was."""

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from gpu_var.backend import Name
from gpu_var.batch.errors import WriteError
from gpu_var.batch.folder import RUN, OutputFolder
from gpu_var.batch.host import device, versions
from gpu_var.batch.log import scrubbed
from gpu_var.batch.outputs import write_json
from gpu_var.batch.watch import Event, State, Watch, exit_code_of, outcome

WRITING = "writing"
"""The last stage: the outputs are written and published."""


def provenance(
    plan: Mapping[str, Any], backend: Name, threads: int, book: Path, started: datetime, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """What `run.json` says of what was run, on what and with what, under the same keys as in that of a finished run.

    Args:
        plan: all that the bytes of the tables depend on: version, backend, precision, pnl, config, inputs.
    """
    monte_carlo = plan["config"].get("monte_carlo")
    return {
        "version": plan["version"],
        "versions": versions(),
        "backend": backend,
        "device": device(backend),
        "precision": plan["precision"],
        "threads": threads,
        "seeds": {} if monte_carlo is None else {"monte_carlo": monte_carlo["seed"]},
        "book": str(book),
        "inputs": dict(plan["inputs"]),
        "config": plan["config"],
        "pnl": plan["pnl"],
        "notes": list(notes),
        "host": platform.node(),
        "started": started.isoformat(timespec="seconds"),
    }


@contextlib.contextmanager
def recorded(folder: OutputFolder, watch: Watch, facts: Mapping[str, Any]) -> Iterator[None]:
    """While it lasts, `OUT/.gpu-var/run.json` says how far the run has come; after an error, how it ended.

    Args:
        folder: locked. When it is published, the run's own `run.json` takes the place of this one.
        facts: of `provenance`.

    Its `state` is running, failed, interrupted or refused; one that is `running` though no process has the lock
    is that of a run that was killed.
    """

    def write(state: State, more: Mapping[str, Any]) -> None:
        seconds = dict(state.seconds)
        if state.stage is not None:
            seconds[state.stage] = seconds.get(state.stage, 0.0) + state.stage_elapsed
        tree = {
            "run": state.run,
            **more,
            "stage": state.stage,
            "fraction": state.fraction,
            "shards": state.shards,
            "shards_done": state.shards_done,
            "timings": seconds,
            **facts,
            "process": os.getpid(),
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        folder.write(RUN, partial(write_json, tree))

    def observer(event: Event) -> None:
        # Nothing within the last stage: in it the run's own run.json comes to lie under the same name, to be published.
        if event.name == "stage_begun":
            write(event.state, {"state": "running"})
        elif event.name == "run_ended" and event.state.stage != WRITING:  # the process ends where it stands
            write(event.state, scrubbed(event.facts))

    write(watch.state, {"state": "running"})
    watch.add(observer)
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(WriteError):  # what ended the run is told; it may well be that nothing can be written
            write(watch.state, scrubbed(outcome(exit_code_of(error), error)))
        raise
    finally:
        watch.remove(observer)
