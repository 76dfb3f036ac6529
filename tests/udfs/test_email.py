"""When a mail is due: by its event's time and its schedule, whatever the header says."""

import datetime as dt

import pytest

from udfs.core.slot import Entry
from udfs.email import SendEmail

ARRIVED = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ARRIVED_MS = int(ARRIVED.timestamp() * 1000)


def due_after_s(ce_time: str, send_after_s: int = 0, clock_speed: float = 1.0) -> float:
    headers = {"ce_time": ce_time.encode()}
    entry = Entry(0, "k", {"send_after_s": send_after_s}, headers, ARRIVED_MS)
    return (SendEmail(clock_speed).due_ms(entry) - ARRIVED_MS) / 1000


def test_a_mail_is_due_so_long_after_its_event_was_made() -> None:
    assert due_after_s("2026-03-01T11:00:00Z") == -3600
    assert due_after_s("2026-03-01T11:00:00Z", 7200) == 3600
    assert due_after_s("2026-03-01T12:00:00Z", 7200, clock_speed=3600) == 2


@pytest.mark.parametrize(
    "ce_time",
    [
        *("", "soon", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"),
        *("0001-01-01T00:00:00", "9998-12-31T23:59:59Z", "2026-03-01T13:00:00+00:00"),
    ],
)
def test_a_time_that_is_none_or_has_not_come_is_the_time_of_arrival(ce_time: str) -> None:
    """One beyond the calendar stopped the job for ever, a later one kept its mail for ever."""
    assert due_after_s(ce_time) == 0
