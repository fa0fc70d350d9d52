"""Example books on real markets: each the open interest of a whole option venue, spread over some fifty accounts."""

from pathlib import Path

from gpu_var.demo import eth, goog


def write_demo(directory: Path) -> list[Path]:
    """Writes the two books under `directory`, which is made where it is missing, and returns their folders.

    `deribit-eth-2024-01-08`: inverse European options and perpetuals on coins. `goog-2015-12-31`: American options with
    the stock and SPY. Files of an earlier demo are replaced; the same bytes every time. See `data/README.md`.
    """
    return [eth.book(directory), goog.book(directory)]
