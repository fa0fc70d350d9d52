"""The two backends export the same names with the same arguments in the same order."""

import inspect

import pytest

import cpu_reference
from gpu_var import cuda


@pytest.mark.parametrize("name", cpu_reference.__all__)
def test_twins(name: str) -> None:
    assert name in cuda.__all__
    reference, twin = getattr(cpu_reference, name), getattr(cuda, name)
    if inspect.isfunction(reference):
        expected = [p.strip("_") for p in inspect.signature(reference).parameters]
        assert [p.strip("_") for p in inspect.signature(twin).parameters] == expected
    elif inspect.isclass(reference):
        assert twin is reference
