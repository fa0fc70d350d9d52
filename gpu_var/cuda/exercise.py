"""Launchers of kernels/exercise.cu; twin of the heavy part of cpu_reference/exercise.py.

Arrays come from the host and return to it: puts that tables are fitted to are few, and of those that are valued today
each is asked for once. `SOLVER` is what `cpu_reference.exercise.exercise_premium` takes for
`cpu_reference.exercise.HOST`.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cpu_reference.boundary import LOWER, UPPER, Puts, collocation, interpolation, quadrature
from cpu_reference.exercise import Side, Solver
from gpu_var.cuda.device import Device, current

F8 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

THREADS = 128
DEGREES = (2, 64)
"""Of a boundary: the kernel marks its rows in a word of 64 bits."""

POINTS = (2, 128)
"""Of a boundary's integral, so that a block gets its shared memory without asking."""


def solve_boundary(puts: Puts, side: int, degree: int, points: int, guess: F8 | None = None) -> tuple[F8, Bool]:
    """`cpu_reference.boundary.solve_boundary` on the device.

    The same equations, steps and stop; h² agrees to 1e-10 of itself where both converge. A put whose system stays
    singular does not converge, where the reference raises.

    Args:
        puts, side, degree, points, guess: as there, on the host.

    Returns:
        h² (b, degree) and whether the iteration converged (b,), on the host.

    Raises:
        TypeError, ValueError: an argument of another type, shape or range.
    """
    n = _check_puts(puts)
    _check_side(side, degree)
    if not POINTS[0] <= points <= POINTS[1]:
        raise ValueError(f"points is {points}; expected {POINTS[0]} to {POINTS[1]}")
    if guess is not None:
        _check("guess", guess, (n, degree))
    device = current()
    squared = device.xp.empty((n, degree))
    converged = device.xp.empty(n, dtype=np.int32)
    device.launch(
        "exercise",
        "solve_boundary",
        (n,),
        (THREADS,),
        (
            device.upload(np.stack(puts)),
            np.int32(n),
            np.int32(side),
            np.int32(degree),
            np.int32(points),
            *_matrices(_collocation, degree, points),
            None if guess is None else device.upload(guess),
            squared,
            converged,
        ),
        8 * (degree * (degree + 5) + 3 * points * (THREADS // 32)) + 4 * degree,
    )
    return device.download(squared), device.download(converged).astype(np.bool_)


def integrate(
    x: F8, puts: Puts, horizon: F8, sides: list[Side], points: int, panels: int, greeks: bool
) -> tuple[F8, F8, F8]:
    """`cpu_reference.exercise.integrate` on the device; the premium agrees to 1e-12 of the strike.

    Args:
        x, puts, horizon, sides, points, panels, greeks: as there, on the host.

    Returns:
        Premium, delta and gamma (b, m) on the host; delta and gamma 0 without ``greeks``.

    Raises:
        TypeError, ValueError: an argument of another type, shape or range.
    """
    n = _check_puts(puts)
    _check("x", x, (n, None))
    _check("horizon", horizon, (n,))
    for side, squared in sides:
        _check("squared", squared, (n, None))
        _check_side(side, squared.shape[1])
    device = current()
    out = device.xp.zeros((3 if greeks else 1, *x.shape))
    if x.size:
        columns, spots = device.upload(np.stack([*puts, horizon])), device.upload(x)
        for side, squared in sides:
            degree = squared.shape[1]
            device.launch(
                "exercise",
                "integrate_greeks" if greeks else "integrate",
                (n, -(-x.shape[1] // THREADS)),
                (THREADS,),
                (
                    columns,
                    np.int32(n),
                    np.int32(side),
                    np.int32(degree),
                    np.int32(points * panels),
                    *_matrices(_quadrature, degree, points, panels),
                    device.upload(squared),
                    spots,
                    np.int32(x.shape[1]),
                    *(out[i] for i in range(len(out))),
                ),
            )
    premium, delta, gamma = *device.download(out), *(np.zeros((0 if greeks else 2, *x.shape)))
    return premium, delta, gamma


SOLVER = Solver(solve_boundary, integrate, 1 << 26)
"""A launch's worth of puts: some 100,000 boundaries, or a million premiums."""


def _check(name: str, array: F8, shape: tuple[int | None, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        raise TypeError(f"{name} is no NumPy array of float64; expected one on the host")
    if array.ndim != len(shape) or any(e not in (None, n) for n, e in zip(array.shape, shape, strict=True)):
        raise ValueError(f"{name} has shape {array.shape}; expected {shape}, None for any length")


def _check_puts(puts: Puts) -> int:
    n = len(puts.rate)
    for name, column in zip(puts._fields, puts, strict=True):
        _check(name, column, (n,))
    return n


def _check_side(side: int, degree: int) -> None:
    if side not in (UPPER, LOWER):
        raise ValueError(f"side is {side}; expected {UPPER} (upper) or {LOWER} (lower)")
    if not DEGREES[0] <= degree <= DEGREES[1]:
        raise ValueError(f"degree is {degree}; expected {DEGREES[0]} to {DEGREES[1]}")


@functools.lru_cache(maxsize=64)
def _kept(make: Callable[..., tuple[F8, ...]], where: tuple[Device, int], *sizes: int) -> tuple[Any, ...]:
    """Arrays that depend on sizes alone: made, and copied to a GPU, once."""
    return tuple(where[0].upload(np.ascontiguousarray(array)) for array in make(*sizes))


def _matrices(make: Callable[..., tuple[F8, ...]], *sizes: int) -> tuple[Any, ...]:
    device = current()
    return _kept(make, (device, 0 if device.xp is np else int(device.xp.cuda.Device().id)), *sizes)


def _rule(points: int, panels: int) -> F8:
    sine, cosine, weight = quadrature(points, panels)
    return np.stack([sine, cosine * weight])


def _collocation(degree: int, points: int) -> tuple[F8, F8, F8, F8]:
    """Nodes, rule and both orders of the interpolation's matrix."""
    node, matrix = collocation(degree, points)
    return node, _rule(points, 1), matrix.transpose(0, 2, 1), matrix


def _quadrature(degree: int, points: int, panels: int) -> tuple[F8, F8]:
    """Rule and interpolation of the premium's integral."""
    matrix = interpolation(degree, quadrature(points, panels).cosine)
    return _rule(points, panels), matrix.T
