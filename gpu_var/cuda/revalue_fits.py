"""The early-exercise premiums' polynomials as `revalue_american` of kernels/revalue.cu reads them; their uploads."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.chebyshev import monomials
from cpu_reference.premium import Premium
from cpu_reference.types import F8, Bool
from gpu_var.cuda.device import Device

_EXACT_POWERS = 2.0
"""Sum of the coefficients' magnitudes up to which powers are exact enough in float; else Chebyshev polynomials."""


class OwnFit(NamedTuple):
    """A premium whose polynomials differ by scenario, on the device."""

    coefficients: Any  # float64 (n_coefficients, n_nodes)
    node: Any | None  # int64 (n_scenarios,)
    weights: Any | None  # float64 (n_scenarios, n_nodes)


def chebyshev_sums(premium: Premium, real: npt.DTypeLike) -> bool:
    """Whether to sum Chebyshev polynomials: where powers would lose digits."""
    if np.dtype(real) == np.float64:
        return not premium.powers
    if not premium.powers:
        return True
    sizes = np.abs(premium.surface).sum(axis=(0, 1)), np.abs(premium.boundary[:, 1:]).sum(axis=0)
    size = max(float(a.max(initial=0.0)) for a in sizes)  # node 0's boundary is far away, and exact
    return bool(size > _EXACT_POWERS)


def _coefficients(premium: Premium, chebyshev: bool) -> F8:
    """(n_coefficients, n_nodes) in the kernels' order: ln B, then P by powers of y, each from the highest down."""
    boundary, surface = premium.boundary, premium.surface
    d, m, _ = surface.shape
    if chebyshev:
        surface = np.asarray(np.linalg.solve(monomials(d), surface.reshape(d, -1)).reshape(surface.shape))
        if premium.powers:
            boundary = np.asarray(np.linalg.solve(monomials(len(boundary)), boundary))
            surface = np.einsum("ab,dbn->dan", np.linalg.inv(monomials(m)), surface)
    n_nodes = boundary.shape[1]
    return np.ascontiguousarray(np.concatenate([boundary[::-1], surface[::-1, ::-1].reshape(-1, n_nodes)]))


def fits_on_device(
    device: Device, premiums: list[Premium], chebyshev: Bool, real: npt.DTypeLike
) -> tuple[npt.NDArray[np.int32], F8, npt.NDArray[Any], npt.NDArray[np.int64], list[OwnFit | None]]:
    """Terms, ranges, coefficients that all scenarios share and their places, and the fits that differ by scenario."""
    terms = np.zeros((len(premiums), 4), dtype=np.int32)
    ranges = np.zeros((len(premiums), 3))
    place = np.zeros(len(premiums), dtype=np.int64)
    common: list[F8] = [np.zeros(1)]
    own: list[OwnFit | None] = [None] * len(premiums)
    length = 1
    for i, premium in enumerate(premiums):
        coefficients = _coefficients(premium, bool(chebyshev[i]))
        same = premium.weights is None and bool((premium.node == premium.node[:1]).all())
        d, m = premium.surface.shape[:2]
        terms[i] = len(premium.boundary), m, d, not same
        span = np.log(premium.vol_high / premium.vol_low)
        ranges[i] = 2 / span if span > 0 else 0.0, np.log(premium.vol_low), 2 / premium.z_max
        if same:
            place[i] = length
            common.append(coefficients[:, premium.node[0] if len(premium.node) else 0])
            length += len(coefficients)
            continue
        node = device.upload(premium.node.astype(np.int64)) if premium.weights is None else None
        weights = None if premium.weights is None else device.upload(premium.weights)
        own[i] = OwnFit(device.upload(coefficients), node, weights)
    return terms, ranges, np.concatenate(common).astype(real), place, own


def places(
    common: npt.NDArray[np.int64], own: list[OwnFit | None], used: Bool
) -> tuple[npt.NDArray[np.int64], list[list[tuple[int, OwnFit]]]]:
    """(n_tiles, n_fits) places of coefficients, and each tile's fits that differ by scenario, one after another.

    Args:
        common: (n_fits,) places among the coefficients that all scenarios share.
        used: (n_tiles, n_fits) whether the tile uses the fit.
    """
    out = np.tile(common, (len(used), 1))
    mixed: list[list[tuple[int, OwnFit]]] = [[] for _ in used]
    length = np.zeros(len(used), dtype=np.int64)
    for i, fit in enumerate(own):
        if fit is not None:
            for t in np.flatnonzero(used[:, i]).tolist():
                out[t, i] = length[t]
                mixed[t].append((int(length[t]), fit))
                length[t] += len(fit.coefficients)
    return out, mixed
