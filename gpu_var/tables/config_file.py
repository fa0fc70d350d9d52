"""Reads margin.toml: the configuration, or what is wrong with it."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpu_var.tables.config import Config
from gpu_var.tables.config_text import key_path, read_toml, say
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings
from gpu_var.tables.presets import with_preset

_MODELS = ("fhs", "monte_carlo", "scan", "stress")


def load_config(path: Path, findings: Findings) -> tuple[Config | None, frozenset[str]]:
    """(config, tables and keys that were refused). Where some were, the rest is there for further checks; or None."""
    raw = read_toml(path, findings, f"a configuration in the book's folder ({CONFIG}), or --config F")
    if raw is None:
        return None, frozenset()
    try:
        raw = with_preset(raw)
    except LookupError as error:
        findings.error(path.name, str(error.args[0]), place=f"{path.name}, key preset")
        raw.pop("preset")
        if not any(key in raw for key in _MODELS):  # the preset would have enabled one: nothing is said of that
            config, refused = _validated({**raw, "fhs": {}}, path.name, findings)
            return config, refused | {"", "fhs"}
    return _validated(raw, path.name, findings)


def _validated(raw: dict[str, Any], name: str, findings: Findings) -> tuple[Config | None, frozenset[str]]:
    try:
        return Config.model_validate(raw), frozenset()
    except ValidationError as error:
        refused = set()
        for one in error.errors():
            loc = key_path(one["loc"])
            if _inherited(loc, raw):
                refused.add("monte_carlo")
                continue
            refused.add(loc[0] if loc else "")
            say(one, loc, Config, name, findings)
    if not findings.count:
        findings.error(name, "not a valid configuration")
    if not any(key in raw and key not in refused for key in _MODELS):
        refused.add("fhs")  # `_rest` enables it for want of another
    return _rest(raw, refused), frozenset(refused)


def _rest(raw: dict[str, Any], refused: set[str]) -> Config | None:
    """What the configuration says where it is sound: enough to go on checking the book."""
    sound = {key: value for key, value in raw.items() if key not in refused}
    if not any(key in sound for key in _MODELS):
        sound["fhs"] = {}
    try:
        return Config.model_validate(sound)
    except ValidationError:
        return None


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name)
    return table if isinstance(table, dict) else {}


def _inherited(loc: tuple[str, ...], raw: dict[str, Any]) -> bool:
    """Whether a key of [monte_carlo] is that of [fhs], of which the same has been said."""
    taken = len(loc) > 1 and loc[0] == "monte_carlo" and loc[1] not in _table(raw, "monte_carlo")
    return taken and loc[1] in _table(raw, "fhs")
