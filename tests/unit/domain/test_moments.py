from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.moments import moment, provider_moment, stamp

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES | st.just(UTC))  # noqa: DTZ001 - bounds


@given(MOMENTS)
def test_a_stamp_is_the_moment(when):
    assert moment(stamp(when)) == when
    assert provider_moment(stamp(when)) == when


@given(MOMENTS, MOMENTS)
def test_the_order_of_stamps_is_the_order_of_moments(one, two):
    assert (stamp(one) < stamp(two)) == (one < two)
    assert len(stamp(one)) == len("2026-11-23T18:07:00.000000Z")


def test_whole_seconds_have_their_fraction_too():
    assert stamp(datetime(2026, 11, 23, 18, 7, tzinfo=UTC)) == "2026-11-23T18:07:00.000000Z"


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-11-23T18:07:00Z", 0),
        ("2026-11-23t18:07:00z", 0),
        ("2026-11-23 18:07:00Z", 0),
        ("2026-11-23T20:37:00+02:30", 0),
        ("2026-11-23T17:07:00-01:00", 0),
        ("2026-11-23T18:07:00.5Z", 500_000),
        ("2026-11-23T18:07:00.123456789Z", 123_456),
    ],
)
def test_moments_of_the_provider(text, micros):
    found = provider_moment(text)
    assert found == datetime(2026, 11, 23, 18, 7, 0, micros, tzinfo=UTC)
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        None,
        1_795_000_000,
        "",
        "soon",
        "2026-11-23",
        "2026-11-23T18:07:00",
        "2026-13-23T18:07:00Z",
        "2026-11-23T18:07:60Z",
        "2026-11-23T18:07:00+99:00",
        "0001-01-01T00:00:00+01:00",
        "2026-11-23T18:07:00.Z",
        "2026-11-23T18:07:00.1234567890Z",
        "2026-11-23T18:07:00Z\n",
    ],
)
def test_what_is_no_moment_is_none(text):
    assert provider_moment(text) is None


@given(st.text("0123456789-:TtZz+. ", max_size=32))
def test_no_text_raises(text):
    found = provider_moment(text)
    assert found is None or found.tzinfo is UTC
