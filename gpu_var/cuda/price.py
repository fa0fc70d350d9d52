"""Today's prices and Greeks: the twin of `cpu_reference.price`."""

import cpu_reference
from cpu_reference.exercise import Solver
from cpu_reference.price import Valuation
from cpu_reference.types import Instruments, Market
from gpu_var.cuda.exercise import SOLVER


def price(instruments: Instruments, market: Market, rho: bool = True, solver: Solver | None = None) -> Valuation:
    """`cpu_reference.price` with the boundaries of American options and the integrals over them on the device; all
    else takes the host no longer than a copy there and back. Prices agree to 1e-12 of the strike, deltas to 1e-11.

    Args:
        instruments, market, rho: as there, on the host.
        solver: None: the device.

    Returns:
        Host arrays.
    """
    return cpu_reference.price(instruments, market, rho, SOLVER if solver is None else solver)
