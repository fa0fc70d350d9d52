"""The account that was probably meant."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables.findings import distance

_COMPARED = 24
"""Characters at either end of a name that are compared for all accounts at once."""
_SHORTLIST = 50


def nearest_names(name: str, known: pa.StringArray, most: int = 3) -> list[str]:
    """The names nearest to one, by edit distance without regard to case, nearest first.

    Only those that share most of a beginning or of an end with it are measured, so that a million names take a second.
    """
    if not len(known):
        return []
    lowered = pc.utf8_lower(known)
    shared = []
    for turned, text in ((lowered, name.lower()), (pc.utf8_reverse(lowered), name.lower()[::-1])):
        letters = np.array(pc.utf8_slice_codeunits(turned, 0, _COMPARED).to_pylist(), dtype=f"U{_COMPARED}")
        asked = np.array([text[:_COMPARED]], dtype=f"U{_COMPARED}")
        equal = letters.view(np.uint32).reshape(-1, _COMPARED) == asked.view(np.uint32)
        shared.append(np.cumprod(equal, axis=1).sum(axis=1))
    rows = np.unique(np.concatenate([np.argsort(-length, kind="stable")[:_SHORTLIST] for length in shared]))
    listed = [str(known[int(row)].as_py()) for row in rows]
    return sorted(listed, key=lambda other: (distance(name.lower(), other.lower()), other))[:most]
