"""How far a run has come, from what lies in its output folder."""

import contextlib
import json
from pathlib import Path
from typing import Any

WORK = ".gpu-var"
"""The folder of what is not finished, in the output folder."""


def tables(out: Path) -> dict[str, bytes]:
    """The published outputs whose bytes depend on the inputs alone."""
    files = [*out.glob("*.parquet"), *out.glob("*.arrow")] if out.is_dir() else []
    return {path.name: path.read_bytes() for path in sorted(files)}


def facts(out: Path) -> dict[str, Any]:
    """What `run.json` says."""
    tree: dict[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return tree


def shards(out: Path) -> list[Path]:
    """The shards that are kept: whole ones, and not what a run has put into their folder for its own use."""
    with contextlib.suppress(FileNotFoundError):
        names = (out / WORK / "shards").iterdir()
        return sorted(path for path in names if path.suffix != ".part" and not path.name.startswith(("pnl-", "table-")))
    return []


def stage(out: Path) -> str:
    """How far the run in `out` has come, from what lies there."""
    work = out / WORK
    if not work.exists():
        return "done" if (out / "margin.parquet").exists() else "before the folder"
    if (out / "margin.parquet").exists():
        return "published, clearing"
    if tables(out) or (out / "run.json").exists():
        return "publishing"
    if not (work / "plan.json").exists():
        return "locking"
    if any(work.glob("*.parquet*")):
        return "writing outputs"
    if any(work.glob("shards/*.part")):
        return "writing a shard"
    if not shards(out):
        return "before the first shard"
    return "between shards"


def kind_of(moment: str) -> str:
    """To which part of a run a moment belongs."""
    event, path = moment.split(" ", 1)
    if "shards/" in path:
        return "shards"
    if event in ("os.remove", "os.rmdir"):
        return "clearing"
    if not path.startswith(WORK):
        return "beginning" if event == "os.mkdir" else "publishing"
    outputs = (".parquet", ".arrow", ".html", "run.json")
    if any(suffix in path for suffix in outputs):
        return "publishing" if event == "os.rename" and ".part" not in path else "writing outputs"
    return "beginning"
