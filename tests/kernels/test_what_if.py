"""What if an account traded, with the kernels on the host: the answers of the reference."""

import numpy as np
import pytest
from oracle import books
from oracle.files import write_book

from gpu_var.margin.what_if import Portfolio, comparison, whole_book
from gpu_var.market.checks import load


@pytest.mark.parametrize(("make", "precision"), [("crypto", "float64"), ("world", "float64"), ("crypto", "float32")])
def test_the_answers_of_the_reference(separate, tmp_path, make, precision):
    changes = {"allow_unshocked": ["iv:CRASH"]} if make == "world" else {}
    path = write_book(tmp_path / "book", getattr(books, make)(), books.config(fhs={"lookback": 20}, **changes))
    book, config, factors, _ = load(path)
    rows = np.unique(book.positions.instrument[book.positions.quantity != 0.0])
    quantities = np.linspace(-3.0, 4.0, len(rows))

    def answers(backend, precision):
        out = []
        portfolio = Portfolio(whole_book(book, config, factors, backend=backend, precision=precision), 1)
        for opened in (False, True):
            if opened:
                portfolio.open()
            table = comparison(portfolio.before, portfolio.after(rows, quantities))
            out.append(np.stack([table[column].to_numpy() for column in ("before", "after")]))
        return out

    first, again = answers("cuda", precision)
    assert (first == again).all()
    want, _ = answers("cpu", "float64")
    single = precision == "float32"
    np.testing.assert_allclose(first, want, rtol=1e-4 if single else 1e-9, atol=1e-12 * np.abs(want).max())
    assert (first != want).any() or not single
