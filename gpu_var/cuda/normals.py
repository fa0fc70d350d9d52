"""Launchers of kernels/normals.cu."""

from typing import Any

import numpy as np

import cpu_reference
from cpu_reference.normals import NORMALS
from gpu_var.cuda.device import check_array, current

_TILE = 64
_THREADS = 256
_32 = 0xFFFFFFFF


def normals(seed: int, step: int, first_path: int, shape: tuple[int, int]) -> Any:
    """`cpu_reference.normals` on the device, from the same uniforms; within 4 units in the last place.

    Returns:
        (n_paths, n_columns) float64 on the device.
    """
    n_paths, n_columns = shape
    device = current()
    out = device.xp.empty((n_paths, n_columns))
    if out.size == 0:
        return out
    pairs = -(-n_columns // 2)
    wide = min(32, 1 << (pairs - 1).bit_length())
    block = (wide, _THREADS // wide)
    grid = (-(-n_paths // block[1]), -(-pairs // wide))
    args = (*_stream(seed, step), np.uint64(first_path), np.int64(n_paths), np.int32(n_columns), out)
    device.launch("normals", "normals", grid, block, args)
    return out


def student_t_mixing(seed: int, step: int, first_path: int, n_paths: int, dof: float) -> Any:
    """`cpu_reference.student_t_mixing`, bit for bit: one number a path, so it is computed on the host and uploaded."""
    return current().upload(cpu_reference.student_t_mixing(seed, step, first_path, n_paths, dof))


def correlate(independent: Any, root: Any, out: Any) -> None:
    """`cpu_reference.correlate` on the device: the same order of summation, products fused with sums.

    Args:
        independent: (n_paths, n_factors) float64 on the device.
        root: (n_factors, n_factors) likewise.
        out: (n_paths, n_factors) likewise.

    Raises:
        TypeError, ValueError: of `check_array`.
    """
    _correlate(independent, root, None, None, out)


def draw(seed: int, step: int, first_path: int, root: Any, scale: Any, mixing: Any | None, out: Any) -> None:
    """Shocks of a block of paths: normals, correlated, scaled and mixed, in one pass over memory up to 64 factors.

    The same bits as `normals`, then `correlate`, then times scale, then times mixing, for any number of factors.

    Args:
        root: (n_factors, n_factors) float64 on the device; zero rows and columns for factors that do not move.
        scale: (n_factors,) likewise.
        mixing: (n_paths,) of `student_t_mixing`; None for normal shocks.
        out: (n_paths, n_factors) likewise; path `first_path` first.

    Raises:
        TypeError, ValueError: of `check_array`.
    """
    check_array("out", out, np.float64, (None, None))
    n_paths, n_factors = out.shape
    if n_factors > _TILE:
        # Each tile of 64 columns would draw every number again, which takes longer than to write and read them.
        _correlate(normals(seed, step, first_path, (n_paths, n_factors)), root, scale, mixing, out)
        return
    _check_weights(root, scale, mixing, n_paths, n_factors)
    args = (*_stream(seed, step), np.uint64(first_path), np.int64(n_paths), np.int32(n_factors))
    current().launch("normals", "draw", _grid(n_paths, n_factors), (_THREADS,), (*args, root, mixing, scale, out))


def _correlate(independent: Any, root: Any, scale: Any | None, mixing: Any | None, out: Any) -> None:
    check_array("independent", independent, np.float64, (None, None))
    n_paths, n_factors = independent.shape
    check_array("out", out, np.float64, (n_paths, n_factors))
    _check_weights(root, scale, mixing, n_paths, n_factors)
    args = (independent, np.int64(n_paths), np.int32(n_factors), root, mixing, scale, out)
    current().launch("normals", "correlate", _grid(n_paths, n_factors), (_THREADS,), args)


def _check_weights(root: Any, scale: Any | None, mixing: Any | None, n_paths: int, n_factors: int) -> None:
    check_array("root", root, np.float64, (n_factors, n_factors))
    if scale is not None:
        check_array("scale", scale, np.float64, (n_factors,))
    if mixing is not None:
        check_array("mixing", mixing, np.float64, (n_paths,))


def _grid(n_paths: int, n_factors: int) -> tuple[int, int]:
    return -(-n_paths // _TILE), -(-n_factors // _TILE)


def _stream(seed: int, step: int) -> tuple[np.uint32, np.uint32, np.uint32]:
    """The generator's key, and the lane of its counter."""
    return np.uint32(seed & _32), np.uint32(seed >> 32), np.uint32(2 * step + NORMALS)
