"""The folder of a finished run as it lies there: its `run.json`, and its tables if they are still what it wrote."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from gpu_var.batch.errors import UsageError
from gpu_var.batch.fingerprint import sha256
from gpu_var.batch.folder import RUN


def facts_of(out: Path, needed: Sequence[str]) -> Mapping[str, Any]:
    """What `run.json` says. Raises `UsageError` where `out` holds no finished run, or one without a `needed` key."""
    file = out / RUN
    if not out.is_dir():
        what = "is no folder" if out.exists() else "does not exist"
        raise UsageError(f"{out} {what}; expected the folder of a finished run, --out of gpu-var run")
    if not file.exists():
        raise UsageError(
            f"{out} holds no finished run, for it has no {RUN}; expected the folder of one, --out of gpu-var run"
        )
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is broken ({error}); run again with --overwrite") from error
    missing = [key for key in needed if key not in facts] if isinstance(facts, dict) else list(needed)
    if missing:
        raise UsageError(f"{file} is not that of a run: it has no {', '.join(missing)}; run again with --overwrite")
    known: Mapping[str, Any] = facts
    return known


def output_of(out: Path, name: str, outputs: Mapping[str, str]) -> pa.Table:
    """An output of the run. Raises `UsageError` where it is missing, or not the file that the run wrote.

    Args:
        outputs: SHA-256 by name, of `run.json`.
    """
    file = out / name
    if not file.exists():
        raise UsageError(f"{out} holds no finished run, for it has no {name}; run again with --overwrite")
    if outputs.get(name) != sha256(file):
        raise UsageError(f"{file} is not the file that its run wrote; run again with --overwrite")
    return pq.read_table(file)
