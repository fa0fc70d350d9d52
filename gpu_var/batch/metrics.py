"""Metrics of a run in a text file, for the textfile collector of Prometheus's node exporter."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_var import __version__
from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.watch import Event, State

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

Sample = tuple[float | None, tuple[str, ...]]  # a value, if there is one, and its labels but for `out`

EVERY = 5.0
"""Seconds between two writes."""


class Metrics:
    """An observer that keeps a text file of metrics, replaced as a whole at every stage and every `EVERY` seconds.

    Every series has the label `out`, the output folder: one machine's runs may lie in one folder of text files. At
    the end the file stays, with `gpu_var_exit_code`; one whose `gpu_var_updated_timestamp_seconds` has come to a
    stop without it is that of a run that was killed.
    """

    def __init__(self, file: str | Path, out: str | Path) -> None:
        """Raises `UsageError` without prometheus_client, or where `file` is a folder."""
        if find_spec("prometheus_client") is None:
            raise UsageError("--metrics needs prometheus_client; install it with pip install 'gpu-var[metrics]'")
        if Path(file).is_dir():
            raise UsageError(f"--metrics {file} is a folder; give a file, which a node exporter wants to end in .prom")
        self.file, self._out = Path(file), str(Path(out).absolute())
        self._state = State("")
        self._begun = time.time()
        self._written = -EVERY

    def __call__(self, event: Event) -> None:
        """Write the file if it is time to. Raises `WriteError`."""
        self._state = event.state
        due = event.state.elapsed - self._written >= EVERY
        if not due and event.name not in ("run_begun", "stage_begun", "planned", "run_ended"):
            return
        self._written = event.state.elapsed
        from prometheus_client import CollectorRegistry, write_to_textfile  # noqa: PLC0415 - an extra

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            write_to_textfile(str(self.file), registry)
        except OSError as error:
            raise WriteError(self.file, error) from error

    def collect(self) -> Iterator["GaugeMetricFamily"]:
        """The metrics as they stand, for a registry of prometheus_client."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        s = self._state

        def family(name: str, text: str, *values: Sample, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
            gauge = GaugeMetricFamily(f"gpu_var_{name}", text, labels=["out", *labels])
            for value, own in values:
                if value is not None:
                    gauge.add_metric([self._out, *own], float(value))
            return gauge

        seconds = dict(s.seconds)
        if s.stage is not None and s.exit_code is None:
            seconds[s.stage] = seconds.get(s.stage, 0.0) + s.stage_elapsed
        rate = [] if s.unit is None else [(s.rate, (s.unit,))]
        stage = [] if s.stage is None else [(1.0, (s.stage,))]
        yield family("run_info", "The run and the version.", (1.0, (s.run, __version__)), labels=("run", "version"))
        yield family("running", "1 while the run goes on.", (float(s.exit_code is None), ()))
        yield family("started_timestamp_seconds", "When the run began, Unix time.", (self._begun, ()))
        yield family("updated_timestamp_seconds", "When this was written, Unix time.", (time.time(), ()))
        yield family("elapsed_seconds", "Seconds since the run began.", (s.elapsed, ()))
        yield family("stage", "1 for the stage that the run is in, or ended in.", *stage, labels=("stage",))
        yield family("stage_ratio", "Share of the stage that is done.", (s.fraction, ()))
        yield family("stage_left_seconds", "Seconds to the end of the stage, estimated.", (s.left, ()))
        yield family(
            "stage_seconds",
            "Seconds spent by stage.",
            *((value, (name,)) for name, value in seconds.items()),
            labels=("stage",),
        )
        yield family("shards", "Shards of the plan.", (s.shards, ()))
        yield family("shards_done", "Shards done, those found included.", (s.shards_done, ()))
        yield family("shards_found", "Shards that an earlier run had done.", (s.shards_found, ()))
        yield family("revaluations", "Revaluations of the plan.", (s.revaluations, ()))
        yield family("revaluations_done", "Revaluations done.", (s.revaluations_done, ()))
        yield family("stage_per_second", "Revaluations, or what `unit` says, a second.", *rate, labels=("unit",))
        yield family("accounts_failed", "Accounts that failed.", (s.accounts_failed, ()))
        yield family("exit_code", "The exit code of the run, once it has ended.", (s.exit_code, ()))
