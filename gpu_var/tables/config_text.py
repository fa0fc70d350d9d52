"""Reads a file of TOML, and words what is wrong with a table in it: the key's path, its value and its range."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from gpu_var.tables.findings import Findings, distance, escaped, nearest, shown


def read_toml(path: Path, findings: Findings, expected: str) -> dict[str, Any] | None:
    """What a file of TOML says; None, with a finding, where it cannot be read.

    Args:
        expected: what a missing file should have been, in words.
    """
    text = _text(path, findings, expected)
    if text is None:
        return None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column = _position(str(error), text)
        what = re.sub(r" \(at .*\)$", "", str(error))
        findings.error(path.name, f"not TOML: {escaped(what)}", place=f"{path.name} line {line}, column {column}")
    return None


def _text(path: Path, findings: Findings, expected: str) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        hint = ""
        if path.parent.is_dir():
            other = nearest(path.name, sorted(p.name for p in path.parent.iterdir() if p.name != path.name))
            hint = f"; there is {shown(other)}" if other else ""
        text = f"no such file: {escaped(str(path), 1000)}{hint}; expected {expected}"
        findings.error(path.name, text, kind="missing")
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


def key_path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The key's path; places in a list are left out."""
    return tuple(part for part in loc if isinstance(part, str))


def say(error: Any, loc: tuple[str, ...], root: type[BaseModel], name: str, findings: Findings) -> None:
    """A finding for one of pydantic's errors.

    Args:
        error: an entry of `ValidationError.errors()`.
        loc: `key_path` of it.
        root: the class of the whole file.
        name: the file's name.
    """
    key = ".".join(loc)
    if error["type"] == "extra_forbidden":
        table = isinstance(error["input"], dict)
        text = f"unknown {'table' if table else 'key'}; {_known(loc, table, root)}"
    elif error["type"] == "missing":
        text = f"missing; expected {_expected(loc, root)}"
    elif error["type"] == "contradiction":
        key = ".".join((*loc, error["ctx"]["key"])).strip(".")
        text = error["ctx"]["text"]
    else:
        value = shown(error["input"]) if isinstance(error["input"], str) else _toml(error["input"])
        wrong = "is out of range" if "than" in error["type"] else "is not accepted"
        if error["type"].endswith("_type") or (key == "as_of" and not isinstance(error["input"], str)):
            wrong = "is of the wrong type"
        text = f"{value} {wrong}; expected {_expected(loc, root)}"
    place = f"{name}, key {escaped(key)}" if key else name
    findings.error(name, text, place=place, kind=f"{key} {text}")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else escaped(str(value))


def _known(loc: tuple[str, ...], table: bool, root: type[BaseModel]) -> str:
    """The nearest known key, and where the key belongs if it is known elsewhere."""
    model = _model(loc[:-1], root) or root
    fields = model.model_fields
    tables = {name: _model((*loc[:-1], name), root) or _keyed(field.annotation) for name, field in fields.items()}
    known = [name for name in fields if not table or tables[name]]
    if loc[-1] in root.model_fields:
        return "it belongs to the top, before any table"
    for name in root.model_fields:
        other = _model((name,), root)
        if other and loc[-1] in other.model_fields:
            return f"it belongs to [{name}]"
    if not known:
        return "expected no keys here"
    best = nearest(loc[-1], known) or min(known, key=lambda name: distance(loc[-1], name))
    return f"the nearest known one is '{best}'; known are {', '.join(known)}"


def _model(loc: tuple[str, ...], root: type[BaseModel]) -> type[BaseModel] | None:
    """The class of the table at a path, also where the path names an entry of a table of tables."""
    model: type[BaseModel] | None = root
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


def _expected(loc: tuple[str, ...], root: type[BaseModel]) -> str:
    """What belongs at a path: the words of the innermost field on it that has some."""
    for end in range(len(loc), 0, -1):
        model = _model(loc[: end - 1], root)
        field = model.model_fields.get(loc[end - 1]) if model else None
        extra = field.json_schema_extra if field else None
        if isinstance(extra, dict) and "expected" in extra:
            return str(extra["expected"])
    return "another value"
