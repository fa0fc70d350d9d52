"""The market data that the demo ships, as columns: `data/README.md` says where each file comes from."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

F8 = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data"


def read(name: str) -> pa.Table:
    """One file of `data/`: a date alone stays text, an empty field is null."""
    convert = pyarrow.csv.ConvertOptions(
        column_types={"date": pa.string(), "expiry": pa.string()}, strings_can_be_null=True
    )
    return pyarrow.csv.read_csv(DATA / name, convert_options=convert)


def numbers(table: pa.Table, column: str) -> F8:
    """A column as float64, NaN where it is null."""
    return np.asarray(table[column].cast(pa.float64()).to_numpy(), dtype=np.float64)


def texts(table: pa.Table, column: str) -> list[str]:
    """A text column."""
    return [str(value) for value in table[column].to_pylist()]


def mark(name: str) -> float:
    """One single level of `data/marks.csv`."""
    table = read("marks.csv")
    return float(numbers(table, "value")[texts(table, "name").index(name)])
