"""A configuration read back from `run.json`, where every default is filled in."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from gpu_var.tables.config import INHERITED, Config
from gpu_var.tables.config_base import ConfigTable


def restored(tree: Mapping[str, Any]) -> Config:
    """The configuration of which `tree` is `as_dict()`.

    Defaults are taken out before it is read, for some keys may not be given where they do not apply, and so is the name
    of the preset, whose keys are all there.

    Raises:
        ValueError: it cannot be read, or reads as another one; the message names the first key.
    """
    given = _without_defaults(Config, {key: value for key, value in tree.items() if key != "preset"})
    if "fhs" in tree and "monte_carlo" in tree:
        given["monte_carlo"] |= {key: tree["monte_carlo"][key] for key in INHERITED if key in tree["monte_carlo"]}
    try:
        config = Config.model_validate_json(json.dumps(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if "preset" in tree:
        config = config.model_copy(update={"preset": tree["preset"]})
    again = config.as_dict()
    if again != dict(tree):
        changed = sorted(key for key in again.keys() | tree.keys() if again.get(key) != tree.get(key))
        raise ValueError(f"{changed[0]}: reads as {again.get(changed[0])!r}, not as {tree.get(changed[0])!r}")
    return config


def _without_defaults(model: type[ConfigTable], values: Mapping[str, Any]) -> dict[str, Any]:
    out = {}
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            out[key] = value
            continue
        default = field.get_default(call_default_factory=True)
        plain = default.model_dump(mode="json", exclude_none=True) if isinstance(default, ConfigTable) else default
        if field.is_required() or value != json.loads(json.dumps(plain, default=_plain)):
            out[key] = _pruned(_table_in(field.annotation), value)
    return out


def _pruned(model: type[ConfigTable] | None, value: Any) -> Any:
    """A table, a list of tables or tables by name, without their defaults; anything else as it is."""
    if model is None:
        return value
    if isinstance(value, list):
        return [_pruned(model, one) for one in value]
    if not isinstance(value, dict):
        return value
    if value and not value.keys() & model.model_fields.keys():  # tables by name
        return {name: _pruned(model, one) for name, one in value.items()}
    return _without_defaults(model, value)


def _table_in(annotation: Any) -> type[ConfigTable] | None:
    """The table that a field holds, if it holds one: by itself, or none, in a list, or by name."""
    if isinstance(annotation, type) and issubclass(annotation, ConfigTable):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part)) is not None), None)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if isinstance(value, ConfigTable) else str(value)
