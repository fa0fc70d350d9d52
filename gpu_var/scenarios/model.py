"""What a scenario model hands to the engine."""

from dataclasses import dataclass

import numpy as np

from gpu_var.market.state import FLOOR
from gpu_var.tables.book import F8


@dataclass(frozen=True)
class ScenarioSet:
    """A matrix of factor shocks with a name a row."""

    model: str  # "fhs" | "monte_carlo"
    name: list[str]  # (n_scenarios,)
    shock: F8  # (n_scenarios, n_factors): returns, or differences for additive factors
    floored: int  # shocks below the floor of simple returns
    steady: tuple[str, ...]  # factors whose returns do not vary, though they are not 0


def count_floored(shock: F8, additive: np.typing.NDArray[np.bool_], returns: str) -> int:
    """How many shocks the floor of simple returns, 1 + x ≥ 0.01, binds."""
    if returns != "simple":
        return 0
    return int(np.count_nonzero(1.0 + shock[:, ~additive] < FLOOR))
