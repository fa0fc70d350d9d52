"""Both backends on the same input, on a real GPU: hundreds of random shapes; errors and their budgets are printed.

The comparisons are those that the other modules of this folder make on the host rig. Skipped where there is no GPU.
"""

import importlib
from typing import Any

import numpy as np
import pytest

from gpu_var import cuda
from gpu_var.cuda.device import current, unavailable

_REASON = unavailable()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(_REASON is not None, reason=str(_REASON))]


def load(name: str) -> Any:
    """A module of this folder; skip where it needs a package that is not there."""
    try:
        return importlib.import_module(f"kernels.{name}")
    except ModuleNotFoundError as error:
        pytest.skip(f"kernels.{name} needs {error.name}, which is not installed")


@pytest.fixture(autouse=True)
def poison() -> None:
    """Memory that an output may get next is full of NaNs: an element that is not written shows."""
    xp = current().xp
    blocks = [xp.full(1 << size, np.nan) for size in range(6, 24)]
    del blocks


def sizes(rng: np.random.Generator, largest: int) -> int:
    """0, 1, odd, around a tile, or anything."""
    return int(rng.choice([0, 1, 2, 3, 31, 33, 63, 64, 65, 127, 129, rng.integers(0, largest)]))


def test_normals() -> None:
    check = load("test_normals").check_normals
    rng = np.random.default_rng(0)
    for _ in range(300):
        shape = (sizes(rng, 3000), sizes(rng, 300))
        check(int(rng.integers(0, 2**63)), int(rng.integers(0, 2**20)), int(rng.integers(0, 2**40)), shape)
    check(7, 0, 2**32 - 1000, (1_000_000, 3))


def test_draw() -> None:
    check = load("test_normals").check_draw
    rng = np.random.default_rng(1)
    for seed in range(200):
        check(seed, (sizes(rng, 1000), sizes(rng, 200)))


def test_filter() -> None:
    check = load("test_filter").check_filter
    rng = np.random.default_rng(2)
    for _ in range(200):
        shape = (sizes(rng, 2600), sizes(rng, 1000))
        check(rng.standard_t(3, shape) * 0.01, float(rng.choice([0.94, 0.97, 0.999])))


def test_aggregate() -> None:
    check = load("test_aggregate").check_random
    for seed in range(300):
        check(seed)


def test_holders() -> None:
    holders = load("test_holders")
    for seed in range(300):
        holders.check_random(seed)
    holders.check(holders.random_positions(np.random.default_rng(300), 300_000, 5000, 2000), 1024)


def test_tail() -> None:
    check = load("test_tail").check_random
    for seed in range(300):
        check(seed, 20_011)


def test_exercise() -> None:
    check = load("test_exercise").check_random
    for seed in range(20):
        check(seed, 100, 5)


def test_prices_and_greeks_of_today() -> None:
    exercise = load("test_exercise")
    for seed in range(3):
        for options in exercise.PRICED.values():
            exercise.check_prices(seed, **{**options, "strikes": 40})


@pytest.mark.parametrize("n", [100_003, 1_000_000])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_tail_of_many_scenarios(n: int, level: float) -> None:
    load("test_tail").check_tail(np.random.default_rng(n).standard_t(3, (3, n)), level)


def test_european() -> None:
    revalue = load("test_revalue")
    for seed in range(3):
        for name, options in revalue.CASES.items():
            revalue.compare(revalue.book(np.random.default_rng(seed), 501, **options), name)


def test_american() -> None:
    revalue = load("test_revalue")
    for seed in range(2):
        for name, options in revalue.AMERICAN_CASES.items():
            merged = {"years": (0.1, 1.0), "american": True, **options}
            revalue.compare(revalue.book(np.random.default_rng(seed), 257, **merged), name)


def test_prices_of_today() -> None:
    """Boundaries, fits and prices by the kernels."""
    revalue = load("test_revalue")
    for seed in range(3):
        for name, options in revalue.TODAY.items():
            revalue.compare_today(revalue.book(np.random.default_rng(seed), 33, 40, **options), name)


def test_revalue_of_random_shapes() -> None:
    revalue = load("test_revalue")
    rng = np.random.default_rng(3)
    for _ in range(150):
        n, strikes = max(1, sizes(rng, 2000)), sizes(rng, 100)
        revalue.compare(revalue.book(rng, n, strikes, years=(0.3,)), f"{strikes} strikes, {n} scenarios")


def test_the_device_has_a_name() -> None:
    assert cuda.current().name
