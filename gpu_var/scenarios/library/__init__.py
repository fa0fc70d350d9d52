"""The scenarios that ship: what markets did, what supervisors imagine, and a grid of spot and volatility."""

from gpu_var.scenarios.library.proxies import FLOOR, Move, library_moves, movers
from gpu_var.scenarios.library.shipped import DOLLARS, FAMILIES, Library, library, library_table

__all__ = ["DOLLARS", "FAMILIES", "FLOOR", "Library", "Move", "library", "library_moves", "library_table", "movers"]
