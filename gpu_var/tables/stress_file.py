"""Reads scenarios.toml: the scenarios and rules of a stress test, or what is wrong with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpu_var.tables.config_stress_test import StressFile
from gpu_var.tables.config_text import key_path, read_toml, say
from gpu_var.tables.files import SCENARIOS
from gpu_var.tables.findings import Findings


def load_stress_file(path: Path, findings: Findings) -> StressFile | None:
    """What a file of scenarios says; None, with findings, where something is wrong with it."""
    raw = read_toml(path, findings, f"a file of scenarios ({SCENARIOS}), which --scenarios names")
    return None if raw is None else stress_file_of(raw, path.name, findings)


def stress_file_of(raw: Mapping[str, Any], name: str, findings: Findings) -> StressFile | None:
    """What such a file would say; None, with findings that call it `name`, where something is wrong with it."""
    try:
        return StressFile.model_validate(dict(raw))
    except ValidationError as error:
        for one in error.errors():
            say(one, key_path(one["loc"]), StressFile, name, findings)
    return None
