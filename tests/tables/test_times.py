from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_var.tables import times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(when):
    return (when - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("2024-02-29T23:59", datetime(2024, 2, 29, 23, 59, tzinfo=UTC)),
        ("2026-01-05 08:30:15", datetime(2026, 1, 5, 8, 30, 15, tzinfo=UTC)),
        ("2026-01-05T08:30:15.5Z", datetime(2026, 1, 5, 8, 30, 15, 500_000, tzinfo=UTC)),
        ("2026-01-05T08:30+05:30", datetime(2026, 1, 5, 3, 0, tzinfo=UTC)),
        ("1969-12-31T20:00:00.000001-04:00", datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_forms_that_are_read(text, when):
    value, good = times.from_text(pa.array([text]))
    assert good.tolist() == [True]
    assert value.tolist() == [microseconds(when)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-1-5",
        "20260105",
        "05/01/2026",
        "2026-02-30",
        "2025-02-29",
        "2026-13-01",
        "2026-00-01",
        "0000-01-01",
        "2026-01-05T24:00",
        "2026-01-05T08:60",
        "2026-01-05T08:30:60",
        "2026-01-05T08",
        "2026-01-05Z",
        "2026-01-05T08:30z",
        "2026-01-05T08:30:15.1234567",
        "2026-01-05T08:30+0530",
        "2026-01-05T08:30+24:00",
        " 2026-01-05",
        "2026-01-05\n",
        "２０２６-01-05",
        "2026-01-05t08:30",
        "9999-12-31T23:59-01:00",
    ],
)
def test_other_forms_are_refused(text):
    value, good = times.from_text(pa.array([text, None]))
    assert good.tolist() == [False, False]
    assert value.tolist() == [times.NO_TIME] * 2


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-1439, 1439))
def test_any_time_and_zone(naive, offset):
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = naive.isoformat(timespec="microseconds") + zone
    when = naive.replace(tzinfo=UTC) - timedelta(minutes=offset)
    assert times.from_text(pa.array([text]))[0].tolist() == [microseconds(when)]


WHEN = datetime(1965, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_any_unit_and_zone_of_arrow(unit, zone):
    value, good = times.from_arrow(pa.array([WHEN.replace(tzinfo=UTC), None], pa.timestamp(unit, zone)))
    assert good.tolist() == [True, False]
    assert value.tolist() == [microseconds(WHEN.replace(tzinfo=UTC)), times.NO_TIME]


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()])
def test_dates_of_arrow(type_):
    value, _ = times.from_arrow(pa.array([date(2026, 1, 5)], type_))
    assert value.tolist() == [microseconds(datetime(2026, 1, 5, tzinfo=UTC))]


@pytest.mark.parametrize("seconds", [10**15, -(10**15)])
def test_times_beyond_the_calendar_are_refused(seconds):
    _, good = times.from_arrow(pa.array([seconds], pa.int64()).cast(pa.timestamp("s")))
    assert good.tolist() == [False]


def test_iso():
    assert times.iso(microseconds(datetime(2026, 1, 5, tzinfo=UTC))) == "2026-01-05"
    assert times.iso(microseconds(datetime(2026, 1, 5, 8, tzinfo=UTC))) == "2026-01-05T08:00:00Z"
