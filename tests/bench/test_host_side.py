"""bench/host_side.py: a run in which only the host works reaches every step, and its arrays behave as arrays do."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gpu_var.benchmark.house import house

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def host_side() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCH))
    try:
        import host_side  # noqa: PLC0415

        yield host_side
    finally:
        sys.path.remove(str(BENCH))
        sys.modules.pop("host_side", None)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_every_step_is_measured(host_side: ModuleType, precision: str) -> None:
    whole = house(80, 30, 5, 300, underlyings=2)
    of = host_side.measured(whole, precision)
    assert all(of.steps.calls[step] for _, _, step in host_side.STEPS)
    own = [of.steps.seconds[step] for _, _, step in host_side.STEPS]
    assert min(own) > 0
    assert sum(own) < of.processor
    assert of.seconds > 0
    suffix = {"float64": "double", "float32": "float"}[precision]
    assert {f"revalue.revalue_black_{suffix}", "revalue.revalue_black_double", "aggregate.aggregate_float64"} <= set(
        of.device.launches
    )
    # Two underlyings together have one tile, in one block of scenarios, and their cells are added to the accounts.
    launches = [of.device.launches[f"aggregate.aggregate_{kind}"] for kind in (precision, "float64")]
    assert launches == ([2, 2] if precision == "float64" else [1, 1])
    text = host_side.table(of)
    assert "all else" in text
    assert f"{of.processor:8.3f} s  in all" in text


def test_arrays_without_memory_have_the_shapes_of_arrays(host_side: ModuleType) -> None:
    real, none = np.ones((6, 40)), host_side.Nothing.of((6, 40))
    for made in (
        lambda a: a,
        lambda a: a[2:5, 7:],
        lambda a: a[1],
        lambda a: a[np.array([0, 3])],
        lambda a: -a,
        lambda a: a * 2.0,
        lambda a: a[0] + a,
        np.isfinite,
        lambda a: np.isfinite(a).all(axis=1),
        lambda a: a.reshape(-1)[40:],
        lambda a: a.copy(),
        lambda a: a.astype(np.int32),
        lambda a: a.all(axis=1).any(),
    ):
        left, right = made(real), made(none)
        assert (right.shape, right.dtype, right.strides) == (left.shape, left.dtype, left.strides)
        assert right.flags.c_contiguous == left.flags.c_contiguous
        assert not left.shape or len(right) == len(left)
    assert np.isfinite(none).all(axis=1).on_host().all()
    assert not none.on_host().any()
