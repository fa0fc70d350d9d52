"""Matrices whose rows may lie apart: column blocks of wider ones."""

from typing import Any

import numpy.typing as npt

from gpu_var.cuda.device import check_array, current


def check_rows(name: str, array: Any, dtype: npt.DTypeLike) -> None:
    """Check a matrix before its address is handed to a kernel; only its columns have to lie side by side.

    Raises:
        TypeError: not an array of the current device's kind, or of another dtype.
        ValueError: not a matrix, rows that are not contiguous, that overlap or run backwards, or another GPU's.
    """
    matrix = isinstance(array, current().xp.ndarray) and array.ndim == 2
    check_array(name, array[:1] if matrix else array, dtype, (None, None))
    if len(array) > 1 and array.strides[0] < array.shape[1] * array.itemsize:
        raise ValueError(
            f"{name} has rows {array.strides[0]} bytes apart; expected at least {array.shape[1] * array.itemsize}"
        )


def row_stride(array: Any) -> int:
    """Elements from a row to the next."""
    return int(array.strides[0] // array.itemsize if len(array) > 1 else array.shape[1])


def span(array: Any) -> Any:
    """All memory from a matrix's first element to its last, as one contiguous view to launch on. Not for empty ones."""
    length = (len(array) - 1) * row_stride(array) + array.shape[1]
    return current().xp.lib.stride_tricks.as_strided(array, (length,), (array.itemsize,))
