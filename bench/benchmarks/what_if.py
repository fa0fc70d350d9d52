"""What if an account traded: what opening it costs, and then one question.

A question is 100 trades in random instruments of a demo book, in 10,000 Monte Carlo paths and 500 historical scenarios,
and its answer the margin and every component before and after. European options (crypto venue), American ones (listed
US options).
"""

import tempfile
from pathlib import Path

import numpy as np

from gpu_var.demo import write_demo
from gpu_var.margin.what_if import Portfolio, comparison, whole_book
from gpu_var.market.checks import load

TRADES = 100
ACCOUNT = 3


class _Asked:
    """A demo book whose scenarios have been drawn; every question is timed on its own, 20 of them."""

    params = (["eth", "goog"],)
    param_names = ("book",)
    timeout = 300
    number, repeat, warmup_time = 1, 20, 0.0

    def setup(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_demo(Path(folder))
            path = next(p for p in Path(folder).iterdir() if name in p.name)
            self.book, config, factors, _ = load(path)
        self.whole = whole_book(self.book, config, factors)
        self.draw = np.random.default_rng(1)

    def ask(self, portfolio: Portfolio) -> None:
        """A question about instruments drawn anew."""
        instruments = self.draw.choice(len(self.book.instruments.kind), TRADES)
        quantities = self.draw.integers(-5, 6, TRADES).astype(np.float64)
        comparison(portfolio.before, portfolio.after(instruments, quantities))


class Opening(_Asked):
    """The account as it is, and everything that is listed on the underlyings that it holds."""

    repeat = 5

    def time_open(self, _: str) -> None:
        """Once an account; a second one on the same underlyings finds them open."""
        Portfolio(self.whole, ACCOUNT).open()


class Unopened(_Asked):
    """An account that has not been opened."""

    def setup(self, name: str) -> None:
        super().setup(name)
        self.portfolio = Portfolio(self.whole, ACCOUNT)

    def time_first(self, _: str) -> None:
        """The first question revalues what it is about."""
        self.ask(self.portfolio)


class Opened(_Asked):
    """An account that has been opened and asked one question."""

    def setup(self, name: str) -> None:
        super().setup(name)
        self.portfolio = Portfolio(self.whole, ACCOUNT)
        self.portfolio.open()
        self.ask(self.portfolio)

    def time_other(self, _: str) -> None:
        """A question about other instruments, which the account need not hold."""
        self.ask(self.portfolio)

    def time_again(self, _: str) -> None:
        """The same question again."""
        self.draw = np.random.default_rng(1)
        self.ask(self.portfolio)
