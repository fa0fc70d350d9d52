"""Timestamps as integer microseconds since 1970 UTC: from text, from Arrow's types, and back."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

I8 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

NO_TIME = np.iinfo(np.int64).min
FORMS = (
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?"
    r"(?:Z|(?P<sign>[+-])(?P<zone_hour>\d\d):(?P<zone_minute>\d\d))?)?"
)
DAY_US = 86_400_000_000
_FIRST = int(np.datetime64("0001-01-01", "us").astype(np.int64))
_LAST = int(np.datetime64("9999-12-31T23:59:59.999999", "us").astype(np.int64))
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}


def from_text(text: pa.StringArray) -> tuple[I8, Bool]:
    """(microseconds, good) of texts of the contract's forms; bad ones and nulls are `NO_TIME`."""
    match = pc.extract_regex(text, f"^{FORMS}$")
    good = np.asarray(match.is_valid())

    def part(name: str, default: str = "0") -> I8:
        digits = pc.struct_field(match, name)
        whole = pc.if_else(pc.and_kleene(match.is_valid(), pc.not_equal(digits, "")), digits, default)
        return np.asarray(whole.cast(pa.int64()))

    year, month, day = part("year", "1"), part("month", "1"), part("day", "1")
    hour, minute, second = part("hour"), part("minute"), part("second")
    fraction = pc.struct_field(match, "fraction")
    padded = pc.utf8_rpad(pc.if_else(match.is_valid(), fraction, ""), 6, "0")
    zone_hour, zone_minute = part("zone_hour"), part("zone_minute")
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour <= 23) & (minute <= 59) & (second <= 59) & (zone_hour <= 23) & (zone_minute <= 59)
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    good &= days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) == months
    sign = np.where(np.asarray(pc.fill_null(pc.equal(pc.struct_field(match, "sign"), "-"), False)), -1, 1)
    minutes = days * 1440 + hour * 60 + minute - sign * (zone_hour * 60 + zone_minute)
    value = (minutes * 60 + second) * 1_000_000 + np.asarray(padded.cast(pa.int64()))
    good &= (value >= _FIRST) & (value <= _LAST)
    return np.where(good, value, NO_TIME), good


def from_arrow(times: pa.Array) -> tuple[I8, Bool]:
    """(microseconds, good) of a timestamp of any unit and zone or of a date; beyond the years 1 to 9999: not good."""
    valid = np.asarray(times.is_valid())
    type_ = times.type
    if pa.types.is_date32(type_):
        raw, scale = times.cast(pa.int32()).cast(pa.int64()), DAY_US
    elif pa.types.is_date64(type_):
        raw, scale = times.cast(pa.int64()), 1_000
    else:
        raw, scale = times.cast(pa.int64()), _PER_UNIT.get(type_.unit, 0)
    value = np.asarray(raw.fill_null(0))
    if not scale:  # nanoseconds
        value, scale = value // 1_000, 1
    good = valid & (value >= _FIRST // scale) & (value <= _LAST // scale)
    return np.where(good, np.where(good, value, 0) * scale, NO_TIME), good


def iso(microseconds: Any) -> str:
    """``2026-01-05`` or, where the time is not midnight, ``2026-01-05T08:00:00Z``."""
    text = str(np.datetime64(int(microseconds), "us"))
    date, _, time = text.partition("T")
    if time == "00:00:00.000000":
        return date
    return f"{date}T{time.removesuffix('.000000')}Z"
