"""What if an account traded: once its underlyings are ready, what one more question costs."""

import tempfile
from pathlib import Path

import numpy as np

from gpu_var.demo import write_demo
from gpu_var.margin.what_if import Portfolio, comparison, whole_book
from gpu_var.market.checks import load

TRADES = 100


class WhatIf:
    """100 trades in random instruments of a demo book, in 10,000 Monte Carlo paths and 500 historical scenarios: the
    margin and every component after them. European options (crypto venue), American ones (listed US options).
    """

    params = (["eth", "goog"],)
    param_names = ("book",)
    timeout = 120

    def setup(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_demo(Path(folder))
            path = next(p for p in Path(folder).iterdir() if name in p.name)
            book, config, factors, _ = load(path)
        self.portfolio = Portfolio(whole_book(book, config, factors), 3)
        draw = np.random.default_rng(1)
        self.instruments = draw.choice(len(book.instruments.kind), TRADES)
        self.quantities = draw.integers(-5, 6, TRADES).astype(np.float64)
        self.time_after(name)

    def time_after(self, _: str) -> None:
        """The answer to one question, every core."""
        comparison(self.portfolio.before, self.portfolio.after(self.instruments, self.quantities))
