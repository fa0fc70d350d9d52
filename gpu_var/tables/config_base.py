"""What every table of margin.toml is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class ConfigTable(BaseModel):
    """A table of margin.toml: exhaustive, strictly typed and immutable."""

    # Nor does a message of pydantic's own repeat what was given, which may be a password.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def contradiction(key: str, text: str) -> PydanticCustomError:
    """Keys that do not go together: the one to change, and what is wrong with it."""
    return PydanticCustomError("contradiction", "{key} {text}", {"key": key, "text": text})


def expected(text: str, **bounds: Any) -> Any:
    """A field's bounds, and how a message words them."""
    return Field(json_schema_extra={"expected": text}, **bounds)
