"""Core: what the enabled models bring to the margin."""

from dataclasses import dataclass

import numpy as np

from cpu_reference import Tail
from gpu_var.tables.book import F8, I8
from gpu_var.tables.config import Config

MODELS = ("fhs", "monte_carlo")
"""In the order in which ties are resolved."""


@dataclass(frozen=True)
class Core:
    """The core of some portfolios; all (n,)."""

    amount: F8  # not floored
    model: I8  # index into `models`
    models: tuple[str, ...]


def core(tails: dict[str, Tail], config: Config) -> Core:
    """The largest of the enabled models' chosen measures, not floored; ties to the first model."""
    models = tuple(m for m in MODELS if m in tails)
    brought: F8 = np.stack([getattr(tails[m], config.measure) for m in models])
    return Core(brought.max(axis=0), brought.argmax(axis=0), models)
