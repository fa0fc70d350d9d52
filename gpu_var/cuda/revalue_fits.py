"""The early-exercise premiums' polynomials as `revalue_american` of kernels/revalue.cu reads them; their uploads."""

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.chebyshev import monomials
from cpu_reference.premium import Premium
from cpu_reference.types import F8, I8
from gpu_var.cuda.device import Device

_EXACT_POWERS = 2.0
"""Sum of the coefficients' magnitudes up to which powers are exact enough in float; else Chebyshev polynomials."""


class OwnFit(NamedTuple):
    """A premium whose polynomials differ by scenario, on the device."""

    coefficients: Any  # float64 (n_coefficients, n_nodes)
    node: Any | None  # int64 (n_scenarios,)
    weights: Any | None  # float64 (n_scenarios, n_nodes)


def chebyshev_sums(premiums: list[Premium], real: npt.DTypeLike) -> list[bool]:
    """Of which to sum Chebyshev polynomials: where powers would lose digits."""
    exact = np.dtype(real) == np.float64
    return [not premium.powers or (not exact and _loses(premium)) for premium in premiums]


def _loses(premium: Premium) -> bool:
    """Whether powers lose digits in float."""
    sizes = np.abs(premium.surface).sum(axis=(0, 1)), np.abs(premium.boundary[:, 1:]).sum(axis=0)
    size = max(float(a.max(initial=0.0)) for a in sizes)  # node 0's boundary is far away, and exact
    return size > _EXACT_POWERS


def _alike(nodes: I8) -> bool:
    return len(nodes) < 2 or bool((nodes == nodes[0]).all())


def _chebyshev(premium: Premium) -> tuple[F8, F8]:
    """The premium's boundary and surface by Chebyshev polynomials of both t and y."""
    boundary, surface = premium.boundary, premium.surface
    d, m, _ = surface.shape
    surface = np.asarray(np.linalg.solve(monomials(d), surface.reshape(d, -1)).reshape(surface.shape))
    if premium.powers:
        boundary = np.asarray(np.linalg.solve(monomials(len(boundary)), boundary))
        surface = np.einsum("ab,dbn->dan", np.linalg.inv(monomials(m)), surface)
    return boundary, surface


Fitted = tuple[npt.NDArray[np.int32], F8, npt.NDArray[Any], npt.NDArray[np.int64], list[OwnFit | None]]

_KEPT = 4
_latest: OrderedDict[tuple[int | str, ...], tuple[Device, list[Premium], Fitted]] = OrderedDict()
"""The latest of `fits_on_device`, with what they were made of: fits that all scenarios share are today's as well."""


def fits_on_device(device: Device, premiums: list[Premium], chebyshev: list[bool], real: npt.DTypeLike) -> Fitted:
    """Terms, ranges, coefficients that all scenarios share and their places, and the fits that differ by scenario.

    All but the last are host arrays. Coefficients stand in the kernels' order: ln B, then P by powers of y, each from
    the highest down.
    """
    key = (np.dtype(real).char, id(device), *map(id, premiums))
    kept = _latest.get(key)
    if kept is None:
        kept = _latest[key] = device, premiums, _on_device(device, premiums, chebyshev, real)
        while len(_latest) > _KEPT:
            _latest.popitem(last=False)
    return kept[2]


def _on_device(device: Device, premiums: list[Premium], chebyshev: list[bool], real: npt.DTypeLike) -> Fitted:
    terms: list[int] = []
    scales: list[float] = []
    ranges = np.zeros((len(premiums), 3))
    place = np.zeros(len(premiums), dtype=np.int64)
    common: list[F8] = [np.zeros(1)]
    weights_of: dict[int, Any] = {}  # by id: fits that the same rates move have the same
    own: list[OwnFit | None] = [None] * len(premiums)
    length = 1
    for i, (premium, sums) in enumerate(zip(premiums, chebyshev, strict=True)):
        boundary, surface = _chebyshev(premium) if sums else (premium.boundary, premium.surface)
        d, m, n_nodes = surface.shape
        same = premium.same or (premium.weights is None and _alike(premium.node))
        terms += len(boundary), m, d, not same
        scales += premium.vol_low, premium.vol_high, premium.z_max
        if same:
            at = premium.node[0] if len(premium.node) else 0
            place[i] = length
            common += boundary[::-1, at], surface[::-1, ::-1, at].reshape(-1)
            length += len(boundary) + d * m
            continue
        node = device.upload(premium.node.astype(np.int64)) if premium.weights is None else None
        if premium.weights is not None and id(premium.weights) not in weights_of:
            weights_of[id(premium.weights)] = device.upload(premium.weights)
        coefficients = np.concatenate([boundary[::-1], surface[::-1, ::-1].reshape(-1, n_nodes)])
        own[i] = OwnFit(device.upload(coefficients), node, weights_of.get(id(premium.weights)))
    low, high, reach = np.array(scales).reshape(-1, 3).T
    span = np.log(high / low)
    np.divide(2, span, out=ranges[:, 0], where=span > 0)
    ranges[:, 1], ranges[:, 2] = np.log(low), 2 / reach
    return np.array(terms, dtype=np.int32).reshape(-1, 4), ranges, np.concatenate(common).astype(real), place, own


def places(
    common: npt.NDArray[np.int64], own: list[OwnFit | None], n_tiles: int, fit: I8, tile: I8
) -> tuple[npt.NDArray[np.int64], list[list[tuple[int, OwnFit]]]]:
    """(n_tiles, n_fits) places of coefficients, and each tile's fits that differ by scenario, one after another.

    Args:
        common: (n_fits,) places among the coefficients that all scenarios share.
        fit, tile: fits used, and the tile that uses them.
    """
    out = common[None].repeat(n_tiles, axis=0)
    mixed: list[list[tuple[int, OwnFit]]] = [[] for _ in range(n_tiles)]
    length = np.zeros(n_tiles, dtype=np.int64)
    for i, one in enumerate(own):
        if one is not None:
            for t in np.unique(tile[fit == i]).tolist():
                out[t, i] = length[t]
                mixed[t].append((int(length[t]), one))
                length[t] += len(one.coefficients)
    return out, mixed
