"""The templates of the pages, and data inside them: every identifier escaped, also inside scripts."""

import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_HERE = Path(__file__).parent
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def templates() -> jinja2.Environment:
    """The templates of this folder: what they show is escaped, and a name that is not there is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def embedded(tree: Any) -> Markup:
    """JSON that can stand inside a script element, whatever text is in it."""
    return Markup(json.dumps(tree, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_ESCAPES))


def verbatim(*names: str) -> Markup:
    """Files of this folder one after another, as they are: scripts and styles."""
    return Markup("".join((_HERE / name).read_text(encoding="utf-8") for name in names))
