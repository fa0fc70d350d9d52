"""Presets: configurations to start from, each a TOML file that a user can copy and edit."""

import tomllib
from pathlib import Path
from typing import Any

from gpu_var.tables.findings import nearest, shown

FOLDER = Path(__file__).parent.parent / "margin" / "presets"


def names() -> list[str]:
    """The presets that there are, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def text(name: str) -> str:
    """A preset as TOML. Raises `LookupError`, naming the nearest one, where there is none of that name."""
    known = names()
    if name not in known:
        near = nearest(name, known)
        hint = f"; the nearest known one is {shown(near)}" if near else ""
        raise LookupError(f"{shown(name)} is no preset{hint}; expected one of {', '.join(known)}")
    return (FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def with_preset(given: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the keys of its `preset` below its own, table by table; lists are replaced whole.

    Raises `LookupError` where there is no such preset.
    """
    name = given.get("preset")
    return _below(tomllib.loads(text(name)), given) if isinstance(name, str) else given


def _below(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    both = base.keys() & own.keys()
    tables = {k for k in both if isinstance(base[k], dict) and isinstance(own[k], dict)}
    return {**base, **own, **{k: _below(base[k], own[k]) for k in tables}}
