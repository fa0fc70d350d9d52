"""The two backends export the same names with the same arguments in the same order."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import cpu_reference
from gpu_var import cuda


def arguments(function: Callable[..., Any]) -> list[str]:
    """The names of a function's arguments, in order."""
    return [name.strip("_") for name in inspect.signature(function).parameters]


@pytest.mark.parametrize("name", cpu_reference.__all__)
def test_twins(name: str) -> None:
    assert name in cuda.__all__
    reference, twin = getattr(cpu_reference, name), getattr(cuda, name)
    if inspect.isfunction(reference):
        assert arguments(twin) == arguments(reference)
    elif inspect.isclass(reference) and twin is not reference:
        methods = [name for name in vars(reference) if not name.startswith("_")]
        assert [name for name in vars(twin) if not name.startswith("_")] == methods
        for method in ("__init__", *methods):
            assert arguments(getattr(twin, method)) == arguments(getattr(reference, method))


def test_data_are_the_same_type() -> None:
    """What one backend makes, the other takes; only what lies where the backend computes has a type of its own."""
    types = [name for name in cpu_reference.__all__ if inspect.isclass(getattr(cpu_reference, name))]
    assert [name for name in types if getattr(cuda, name) is not getattr(cpu_reference, name)] == ["Holders"]
