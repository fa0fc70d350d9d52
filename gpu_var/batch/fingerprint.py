"""What a run depends on: the content of its inputs, its configuration, its version and how it computes."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpu_var.batch.errors import RunError, UsageError

CONFIG = "margin.toml"
Stamps = Mapping[Path, tuple[int, int]]


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def stamps(paths: Iterator[Path]) -> Stamps:
    """Size and time of change of files, to tell whether one was replaced while it was read."""
    found: dict[Path, tuple[int, int]] = {}
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            continue
        found[path.absolute()] = (state.st_size, state.st_mtime_ns)
    return found


def files_of(book: Path, config: Path | None) -> Iterator[Path]:
    """Every file that may be an input of the book."""
    if book.is_dir():
        yield from book.glob("*")
        yield from (book / "positions").rglob("*")
    if config is not None:
        yield config


def hashes(book: Path, files: Mapping[str, tuple[Path, ...]], config: Path | None) -> dict[str, str]:
    """SHA-256 of every input by its name in the book; the configuration is `margin.toml`, wherever it lies."""
    named: dict[str, Path] = {}
    root = book.absolute()
    for paths in files.values():
        for path in paths:
            absolute = path.absolute()
            name = absolute.relative_to(root) if absolute.is_relative_to(root) else absolute
            named[name.as_posix()] = absolute
    if config is not None:
        named[CONFIG] = config
    return {name: sha256(named[name]) for name in sorted(named)}


def refuse_if_changed(before: Stamps, after: Stamps, inputs: Iterator[Path]) -> None:
    """Raise `RunError` where an input is not the file that it was before the book was read."""
    for path in inputs:
        if before.get(path.absolute()) != after.get(path.absolute()):
            raise RunError(f"{path} changed while it was being read; run again when it is whole")


def refuse_if_different(out: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise `UsageError`, naming every difference, where the run in `out` is not the run that is asked for."""
    differences = _differences(old, new)
    if differences:
        shown = "\n".join(f"  {line}" for line in differences)
        raise UsageError(
            f"{out} holds a run that cannot be resumed, because it differs from this one:\n{shown}\n"
            "give --overwrite to replace it, or another --out"
        )


def plan_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of a finished run, from its `run.json`."""
    return {key: facts.get(key) for key in (*_NAMES, "config", "inputs")}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = [
        f"{_NAMES[key]}: {old.get(key)} then, {new.get(key)} now" for key in _NAMES if old.get(key) != new.get(key)
    ]
    before, after = _flat(old.get("config") or {}), _flat(new.get("config") or {})
    found += [
        f"parameter {key}: {before.get(key, 'not given')} then, {after.get(key, 'not given')} now"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    then, now = old.get("inputs") or {}, new.get("inputs") or {}
    for name in sorted(then.keys() | now.keys()):
        if name not in now:
            found.append(f"input {name}: gone")
        elif name not in then:
            found.append(f"input {name}: new")
        elif then[name] != now[name]:
            found.append(f"input {name}: its content has changed")
    return found


_NAMES = {"version": "version of gpu-var", "backend": "--backend", "precision": "--precision", "pnl": "--pnl"}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
