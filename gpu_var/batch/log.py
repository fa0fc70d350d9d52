"""A log of a run, a JSON object a line, for machines that collect logs."""

import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.watch import Event
from gpu_var.tables.source_secrets import secrets_in, without_secrets

EVERY = 10.0
"""Seconds between two lines that only tell how far a stage is."""

STANDARD_OUTPUT = "-"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|\S*password\s*=\s*\S+", re.IGNORECASE)
_PLACES = 3  # decimals of seconds and rates


class JsonLog:
    """An observer that appends a line to a file for every event, and one about every `EVERY` seconds within a stage.

    Every line is written at once, so that several runs may share a file. Each has `time` (ISO 8601, UTC, never earlier
    than in the line before), `level`, `event`, `run`, `stage`; where they are known `done`, `total`, `unit`, `rate`
    (`unit` a second), `left` (seconds), or `fraction` where a stage has no plan; and the event's own, among them
    `shard`, `account`, `reason`, `error`.
    """

    def __init__(self, file: str | Path) -> None:
        """`file` is appended to; `-` is standard output. Raises `UsageError` for a folder, `WriteError`."""
        self.file = str(file)
        if self.file == STANDARD_OUTPUT:
            sys.stdout.flush()
            self._descriptor = sys.stdout.fileno()
        else:
            if Path(file).is_dir():
                raise UsageError(f"--log-json {file} is a folder; give a file, or - for standard output")
            try:
                self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            except OSError as error:
                raise WriteError(file, error) from error
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Write the event's line. Raises `WriteError`."""
        name = event.name
        if name in ("tick", "progress"):
            if event.state.stage is None or event.state.elapsed - self._last < EVERY:
                return
            name = "progress"
            self._last = event.state.elapsed
        elif name.startswith("stage_"):
            self._last = event.state.elapsed
        line = json.dumps(_line(event, name), separators=(",", ":"), allow_nan=False)
        try:
            data = (line + "\n").encode("ascii")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise WriteError("standard output" if self.file == STANDARD_OUTPUT else self.file, error) from error
        if name == "run_ended" and self.file != STANDARD_OUTPUT:
            os.close(self._descriptor)


def _line(event: Event, name: str) -> dict[str, Any]:
    state = event.state
    line: dict[str, Any] = {
        "time": iso(event.time),
        "level": event.level,
        "event": name,
        "run": state.run,
        "stage": state.stage,
    }
    of_stage = event.facts.get("stage", state.stage) == state.stage
    if of_stage and name in ("progress", "shard_done", "shard_found", "stage_ended"):
        numbers = {"done": state.done, "total": state.total, "unit": state.unit, "rate": state.rate}
        if name != "stage_ended":
            numbers |= {"fraction": state.fraction if state.total is None else None, "left": state.left}
        line |= {key: _rounded(value) for key, value in numbers.items() if value is not None}
    if name == "run_ended":
        line["seconds"] = _rounded(state.elapsed)
        line["accounts_failed"] = state.accounts_failed
    return line | {key: value if key == "account" else scrubbed(value) for key, value in event.facts.items()}


def scrubbed(value: Any) -> Any:
    """A JSON value without the secrets of the environment and of the URIs that it holds."""
    if isinstance(value, str):
        found = [secret for uri in _URI.findall(value) for secret in secrets_in(uri)]
        return without_secrets(value, *found)
    if isinstance(value, Mapping):
        return {key: scrubbed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(item) for item in value]
    return value


def iso(when: datetime) -> str:
    """ISO 8601 to the microsecond, a UTC time with Z."""
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _rounded(value: Any) -> Any:
    return round(value, _PLACES) if isinstance(value, float) else value
