"""Reads margin.toml, and words what is wrong with it: the key's path, its value and its range."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gpu_var.tables.config import Config
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings, distance, escaped, nearest, shown
from gpu_var.tables.presets import with_preset

_MODELS = ("fhs", "monte_carlo", "scan", "stress")


def load_config(path: Path, findings: Findings) -> tuple[Config | None, frozenset[str]]:
    """(config, tables and keys that were refused). Where some were, the rest is there for further checks; or None."""
    text = _text(path, findings)
    if text is None:
        return None, frozenset()
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column = _position(str(error), text)
        what = re.sub(r" \(at .*\)$", "", str(error))
        findings.error(path.name, f"not TOML: {escaped(what)}", place=f"{path.name} line {line}, column {column}")
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


def _text(path: Path, findings: Findings) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        hint = ""
        if path.parent.is_dir():
            other = nearest(path.name, sorted(p.name for p in path.parent.iterdir() if p.name != path.name))
            hint = f"; there is {shown(other)}" if other else ""
        expected = f"expected a configuration in the book's folder ({CONFIG}), or --config F"
        findings.error(path.name, f"no such file: {escaped(str(path), 1000)}{hint}; {expected}", kind="missing")
    except OSError as error:
        findings.error(path.name, f"cannot be read ({error.strerror}): {escaped(str(path), 1000)}", kind="missing")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"byte {error.start + 1:,} is not UTF-8; expected TOML, which is text in UTF-8"
        findings.error(path.name, what, place=f"{path.name} line {line}")
    return None


def _position(message: str, text: str) -> tuple[int, int]:
    """The line and column that the parser names; the end of the document where it says so."""
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    if found:
        return int(found[1]), int(found[2])
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1


def _validated(raw: dict[str, Any], name: str, findings: Findings) -> tuple[Config | None, frozenset[str]]:
    try:
        return Config.model_validate(raw), frozenset()
    except ValidationError as error:
        refused = set()
        for one in error.errors():
            loc = _path(one["loc"])
            if _inherited(loc, raw):
                refused.add("monte_carlo")
                continue
            refused.add(loc[0] if loc else "")
            _say(one, loc, name, findings)
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


def _path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The key's path; places in a list are left out."""
    return tuple(part for part in loc if isinstance(part, str))


def _say(error: Any, loc: tuple[str, ...], name: str, findings: Findings) -> None:
    key = ".".join(loc)
    if error["type"] == "extra_forbidden":
        table = isinstance(error["input"], dict)
        text = f"unknown {'table' if table else 'key'}; {_known(loc, table)}"
    elif error["type"] == "missing":
        text = f"missing; expected {_expected(loc)}"
    elif error["type"] == "contradiction":
        key = ".".join((*loc, error["ctx"]["key"])).strip(".")
        text = error["ctx"]["text"]
    else:
        value = shown(error["input"]) if isinstance(error["input"], str) else _toml(error["input"])
        wrong = "is out of range" if "than" in error["type"] else "is not accepted"
        if error["type"].endswith("_type") or (key == "as_of" and not isinstance(error["input"], str)):
            wrong = "is of the wrong type"
        text = f"{value} {wrong}; expected {_expected(loc)}"
    place = f"{name}, key {escaped(key)}" if key else name
    findings.error(name, text, place=place, kind=f"{key} {text}")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else escaped(str(value))


def _known(loc: tuple[str, ...], table: bool) -> str:
    """The nearest known key, and where the key belongs if it is known elsewhere."""
    model = _model(loc[:-1]) or Config
    tables = {name: _model((*loc[:-1], name)) or _keyed(field.annotation) for name, field in model.model_fields.items()}
    known = [name for name in model.model_fields if not table or tables[name]]
    if loc[-1] in Config.model_fields:
        return "it belongs to the top, before any table"
    for name in Config.model_fields:
        other = _model((name,))
        if other and loc[-1] in other.model_fields:
            return f"it belongs to [{name}]"
    if not known:
        return "expected no keys here"
    best = nearest(loc[-1], known) or min(known, key=lambda name: distance(loc[-1], name))
    return f"the nearest known one is '{best}'; known are {', '.join(known)}"


def _model(loc: tuple[str, ...]) -> type[BaseModel] | None:
    """The class of the table at a path, also where the path names an entry of a table of tables."""
    model: type[BaseModel] | None = Config
    parts = list(loc)
    while parts and model is not None:
        field = model.model_fields.get(parts.pop(0))
        model = _table_class(field.annotation) if field else None
        if field and parts and _keyed(field.annotation):
            parts.pop(0)  # the entry's own name
    return model


def _table_class(annotation: Any) -> type[BaseModel] | None:
    """The class of table that an annotation holds, in an option, a list or a dictionary."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_class, get_args(annotation))), None)


def _keyed(annotation: Any) -> bool:
    """Whether the annotation is a table whose keys are names of the user's own."""
    return get_origin(annotation) is dict or any(map(_keyed, get_args(annotation)))


def _expected(loc: tuple[str, ...]) -> str:
    """What belongs at a path: the words of the innermost field on it that has some."""
    for end in range(len(loc), 0, -1):
        model = _model(loc[: end - 1])
        field = model.model_fields.get(loc[end - 1]) if model else None
        extra = field.json_schema_extra if field else None
        if isinstance(extra, dict) and "expected" in extra:
            return str(extra["expected"])
    return "another value"
