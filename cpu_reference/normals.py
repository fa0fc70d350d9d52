"""Random numbers that are a pure function of their counter: Philox4x32-10 and what is drawn from it."""

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtri

from cpu_reference.types import F8

U4 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint64]

_MULTIPLIER = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)

NORMALS, MIXING = 0, 1
"""Streams: what a draw is for, so that no two uses share a counter."""


def philox4x32(counter: U4, key: tuple[int, int], rounds: int = 10) -> U4:
    """The counter-based generator of Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".

    Args:
        counter: (4, n) words, the first the least significant.
        key: two 32-bit words.
        rounds: 10 for everything that is reported.

    Returns:
        (4, n) random words.
    """
    c0, c1, c2, c3 = (word.astype(np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(rounds):
        left, right = _MULTIPLIER[0] * c0, _MULTIPLIER[1] * c2
        c0, c1, c2, c3 = (
            (right >> _32) ^ c1 ^ np.uint64(k0),
            right & _LOW,
            (left >> _32) ^ c3 ^ np.uint64(k1),
            left & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def uniforms(seed: int, stream: int, step: int, first_path: int, shape: tuple[int, int]) -> F8:
    """Uniform numbers in (0, 1), symmetric about a half: 52 bits and a half step.

    Counter words: (path mod 2³², path div 2³², ⌊column/2⌋, 2·step + stream); key: the seed's two halves. Words 0, 1 of
    a block serve its even column, words 2, 3 the odd one. So a number depends on (seed, stream, step, path, column) and
    on nothing else.

    Returns:
        (n_paths, n_columns), path `first_path` first.
    """
    n_paths, n_columns = shape
    blocks = (n_columns + 1) // 2
    path, block = np.meshgrid(
        np.arange(first_path, first_path + n_paths, dtype=np.uint64), np.arange(blocks, dtype=np.uint64), indexing="ij"
    )
    lane = np.full(path.size, 2 * step + stream, dtype=np.uint64)
    counter = np.stack([path.ravel() & _LOW, path.ravel() >> _32, block.ravel(), lane]).astype(np.uint32)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).astype(np.uint64)
    high, low = words[0::2], words[1::2]
    bits = (high << np.uint64(20)) | (low >> np.uint64(12))
    u = (bits.astype(np.float64) + 0.5) * 2.0**-52
    return np.ascontiguousarray(u.T.reshape(n_paths, 2 * blocks)[:, :n_columns])


def normals(seed: int, step: int, first_path: int, shape: tuple[int, int]) -> F8:
    """Independent standard normal numbers by inversion, (n_paths, n_columns): see `uniforms` for the counters."""
    return np.asarray(ndtri(uniforms(seed, NORMALS, step, first_path, shape)))


def student_t_mixing(seed: int, step: int, first_path: int, n_paths: int, dof: float) -> F8:
    """√((dof − 2)/χ²_dof), one a path: turns normals into a multivariate t of unit variance (dof > 2).

    The t has scale √(dof/χ²) (McNeil, Frey & Embrechts 2015, eq. 6.24); the contract's √((dof − 2)/dof) makes its
    variance 1.
    """
    u = uniforms(seed, MIXING, step, first_path, (n_paths, 1))[:, 0]
    chi2 = np.asarray(chdtri(dof, u))
    return np.asarray(np.sqrt((dof - 2.0) / chi2))


def correlate(independent: F8, root: F8, out: F8) -> None:
    """out = independent · root, summed over the factors in a fixed order, so that no library's threads change a bit.

    Args:
        independent: (n_paths, n_factors).
        root: (n_factors, n_factors), a square root of the correlation matrix.
        out: (n_paths, n_factors) receives correlated normals.
    """
    out[...] = 0.0
    for factor, weights in enumerate(root):
        out += independent[:, factor, None] * weights
