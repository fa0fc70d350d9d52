"""Core: what the enabled models bring to the margin."""

from dataclasses import dataclass

import numpy as np

from cpu_reference import Tail
from gpu_var.tables.book import F8, I8
from gpu_var.tables.config import Config

MODELS = ("fhs", "monte_carlo", "scan", "stress")
"""In the order in which ties are resolved."""

MEASURED = ("fhs", "monte_carlo", "stress")
"""The models of which every scenario is a vector of shocks to the factors, so that they have a tail."""

BLEND = "blend"


@dataclass(frozen=True)
class Core:
    """The core of some portfolios; all (n,)."""

    amount: F8  # not floored
    model: I8  # index into `models`
    models: tuple[str, ...]


def brings(model: str, tail: Tail, config: Config) -> F8:
    """(n,) what a model brings to core: the configured measure, and the worst loss of the stress scenarios."""
    amount: F8 = tail.worst if model == "stress" else getattr(tail, config.measure)
    return amount


def core(tails: dict[str, Tail], scan: F8 | None, config: Config) -> Core:
    """The core rule, not floored: the largest of what the enabled models bring, ties to the first model.

    With `combine = "blend"` it is (1 − w)·max(fhs, monte_carlo) + w·stress, w the stress weight.

    Args:
        tails: of some portfolios, by model; those that are not among `MEASURED` are left out.
        scan: (n,) the scan's amounts, where it is enabled.
    """
    brought = {m: brings(m, tails[m], config) for m in MEASURED if m in tails}
    if config.core.combine == BLEND and config.core.stress_weight is not None:
        simulated = np.stack([brought[m] for m in ("fhs", "monte_carlo") if m in brought]).max(axis=0)
        weight = config.core.stress_weight
        amount = (1.0 - weight) * simulated + weight * brought["stress"]
        return Core(amount, np.zeros(len(amount), dtype=np.intp), (BLEND,))
    if scan is not None:
        brought["scan"] = scan
    models = tuple(m for m in MODELS if m in brought)
    stacked: F8 = np.stack([brought[m] for m in models])
    return Core(stacked.max(axis=0), stacked.argmax(axis=0), models)
