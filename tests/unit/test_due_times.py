"""Due times: what a local clock shows, through its changes, against a definition that is slow and plain."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.schedules import Times
from dayshift.tasks.schedules import due_times
from dayshift.tasks.schedules.due_times import cron_fault, due_after, is_time_zone, latest_due

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# Zone, and a moment near a change of its clock: an hour on and back, half an hour, at midnight, and a zone that never changes.
CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00Z"),
    ("America/New_York", "2026-03-08T07:00Z"),
    ("America/New_York", "2026-11-01T06:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("America/Santiago", "2026-09-06T04:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00Z"),
    ("Asia/Kolkata", "2026-06-01T00:00Z"),
    ("UTC", "2026-06-01T00:00Z"),
]
changes = st.sampled_from(CHANGES).map(lambda change: (change[0], datetime.fromisoformat(change[1])))
minutes_of_an_hour = st.lists(st.integers(0, 59), min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
hours_of_a_day = st.lists(st.integers(0, 23), min_size=1, max_size=4).map(lambda some: ",".join(map(str, some)))
named = st.tuples(minutes_of_an_hour, hours_of_a_day).map(" ".join)
recurring = st.one_of(
    st.tuples(st.sampled_from(["*", "*/15", "*/7", "*/30"]), st.one_of(st.just("*"), hours_of_a_day)).map(" ".join),
    st.tuples(minutes_of_an_hour, st.sampled_from(["*", "*/2", "*/3"])).map(" ".join),
)


def due(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    times = Times(cron=cron, time_zone=zone)
    return list(takewhile(lambda one: one <= until, due_times._due_times(times, after)))


def numbers(field: str, size: int) -> set[int]:
    if field.startswith("*"):
        return set(range(0, size, int(field.partition("/")[2] or 1)))
    return {int(one) for one in field.split(",")}


def whenever_shown(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Recurring times by their definition: each minute in which the clock shows one."""
    minutes, hours = (numbers(field, size) for field, size in zip(cron.split(), (60, 24), strict=True))
    found, moment = [], after.replace(second=0, microsecond=0)
    while (moment := moment + MINUTE) <= until:
        local = moment.astimezone(ZoneInfo(zone))
        if local.minute in minutes and local.hour in hours:
            found.append(moment)
    return found


def shown_once(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Named times by theirs: each minute of a calendar day where the clock shows it first, or else as soon as it has leapt over it."""
    minutes, hours = (numbers(field, size) for field, size in zip(cron.split(), (60, 24), strict=True))
    found = set()
    day = after.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, tzinfo=None) - DAY
    while day <= until.astimezone(ZoneInfo(zone)).replace(tzinfo=None):
        for wall in (day + hour * HOUR + minute * MINUTE for hour in hours for minute in minutes):
            shown = wall
            while (
                shown.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
                != shown
            ):
                shown += MINUTE
            found.add(shown.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC))
        day += DAY
    return sorted(one for one in found if after < one <= until)


@pytest.mark.parametrize(
    ("cron", "zone", "from_day", "expected"),
    [
        # Berlin's clock leaps from 02:00 to 03:00 and goes back from 03:00 to 02:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["28 02:30+01:00", "29 03:00+02:00", "30 02:30+02:00"]),
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-29", ["29 03:00+02:00", "29 03:30+02:00", "30 02:00+02:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24", ["24 02:30+02:00", "25 02:30+02:00", "26 02:30+01:00"]),
        ("0 * * * *", "Europe/Berlin", "2026-03-29", ["29 00:00+01:00", "29 01:00+01:00", "29 03:00+02:00"]),
        (
            "30 */2 * * *",
            "Europe/Berlin",
            "2026-10-25",
            ["25 00:30+02:00", "25 02:30+02:00", "25 02:30+01:00", "25 04:30+01:00"],
        ),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29", ["30 02:00+02:00", "30 02:30+02:00"]),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-25",
            ["25 02:00+02:00", "25 02:30+02:00", "25 02:00+01:00", "25 02:30+01:00"],
        ),
        # New York's at the same hours by its own clock.
        ("15 2 * * *", "America/New_York", "2026-03-08", ["08 03:00-04:00", "09 02:15-04:00"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["01 01:30-04:00", "02 01:30-05:00"]),
        # Lord Howe's leaps from 02:00 to 02:30 and goes back from 02:00 to 01:30.
        ("10 2 * * *", "Australia/Lord_Howe", "2026-10-03", ["03 02:10+10:30", "04 02:30+11:00", "05 02:10+11:00"]),
        (
            "*/15 2,3 * * *",
            "Australia/Lord_Howe",
            "2026-10-04",
            ["04 02:30+11:00", "04 02:45+11:00", "04 03:00+11:00", "04 03:15+11:00"],
        ),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", ["05 01:45+11:00", "06 01:45+10:30"]),
        (
            "45 * * * *",
            "Australia/Lord_Howe",
            "2026-04-05",
            ["05 00:45+11:00", "05 01:45+11:00", "05 01:45+10:30", "05 02:45+10:30"],
        ),
        ("*/15 2 * * *", "Australia/Lord_Howe", "2026-04-05", ["05 02:00+10:30", "05 02:15+10:30", "05 02:30+10:30"]),
        # Cairo's leaps over midnight.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23", ["23 00:00+02:00", "24 01:00+03:00", "25 00:00+03:00"]),
    ],
)
def test_through_a_change_of_the_clock(cron, zone, from_day, expected):
    start = datetime.fromisoformat(from_day).replace(tzinfo=ZoneInfo(zone)) - MINUTE
    found = islice(due_times._due_times(Times(cron=cron, time_zone=zone), start), len(expected))
    shown = [one.astimezone(ZoneInfo(zone)).isoformat(" ", "minutes") for one in found]
    assert [one[8:] for one in shown] == expected


@given(changes, recurring, st.integers(0, 48 * 60 * 60), st.integers(1, 60))
def test_recurring_times_are_due_whenever_the_clock_shows_them(change, cron, seconds_before, hours):
    zone, moment = change
    after = moment - timedelta(seconds=seconds_before)
    assert due(f"{cron} * * *", zone, after, after + hours * HOUR) == whenever_shown(
        cron, zone, after, after + hours * HOUR
    )


@given(changes, named, st.integers(0, 48 * 60 * 60), st.integers(1, 96))
def test_named_times_are_due_once(change, cron, seconds_before, hours):
    zone, moment = change
    after = moment - timedelta(seconds=seconds_before)
    assert due(f"{cron} * * *", zone, after, after + hours * HOUR) == shown_once(
        cron, zone, after, after + hours * HOUR
    )


@given(
    changes,
    st.one_of(named, recurring),
    st.sampled_from(["* * *", "* * SUN", "1,L * *", "* 3,10 MON#1", "*/2 * *"]),
    st.integers(0, 400 * 60),
    st.integers(0, 3_000 * 60),
)
def test_due_times_do_not_depend_on_when_one_looks(change, clock, calendar, before, later):
    zone, moment = change
    early, late = moment - before * MINUTE, moment - before * MINUTE + timedelta(seconds=later)
    all_of_them = due(f"{clock} {calendar}", zone, early, late + 3 * DAY)
    assert [one for one in all_of_them if one > late] == due(f"{clock} {calendar}", zone, late, late + 3 * DAY)


@given(st.integers(1, 10_000), st.integers(-10_000, 10_000), st.integers(0, 10_000))
def test_intervals_are_counted_from_their_start(every, start_after, elapsed):
    origin = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    start = origin + timedelta(seconds=start_after)
    moment = origin + timedelta(seconds=elapsed)
    found = due_after(Times(every=every, start_at=start), moment)
    assert found > moment
    assert (found - start) % timedelta(seconds=every) == timedelta(0)
    assert found == start or start < found <= moment + timedelta(seconds=every)


def test_once_is_once():
    at = datetime(2026, 3, 29, tzinfo=UTC)
    assert due_after(Times(at=at), at - MINUTE) == at
    assert due_after(Times(at=at), at) is None


@given(
    st.one_of(
        st.tuples(changes, st.one_of(named, recurring)).map(
            lambda both: Times(cron=f"{both[1]} * * *", time_zone=both[0][0])
        ),
        st.integers(60, 5_000).map(lambda every: Times(every=every, start_at=datetime(2026, 3, 1, tzinfo=UTC))),
        st.integers(0, 10**6).map(lambda at: Times(at=datetime(2026, 3, 28, tzinfo=UTC) + timedelta(seconds=at))),
    ),
    st.integers(1, 20),
    st.integers(0, 10 * 24 * 60),
)
def test_the_latest_are_the_last_of_all(times, most, span):
    since = datetime(2026, 3, 27, 12, 7, tzinfo=UTC)
    until = since + span * MINUTE
    all_of_them = list(
        takewhile(lambda one: one <= until, due_times._due_times(times, since - timedelta(microseconds=1)))
    )
    assert latest_due(times, most, since, until) == all_of_them[-most:]


@pytest.mark.parametrize(
    "cron", ["61 * * * *", "* * 30 2 *", "@daily", "* * * * * *", "* * * *", "1-0 * * * *", "², * * * *"]
)
def test_what_is_no_expression_is_told(cron):
    assert cron_fault(cron)


@given(st.text(alphabet="0123456789*/,-#LW MONJAN²\n", max_size=40))
def test_any_text_is_an_expression_or_not(text):
    fault = cron_fault(text)
    if fault is None:
        due_after(Times(cron=text, time_zone="Europe/Berlin"), datetime(2026, 1, 1, tzinfo=UTC))


def test_what_is_never_due_is_found_out_soon():
    assert due_after(Times(cron="* * */20 * 1L", time_zone="Europe/Berlin"), datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_time_zones_are_known_by_the_names_of_their_database():
    assert is_time_zone("Europe/Berlin")
    assert is_time_zone("UTC")
    assert not any(is_time_zone(name) for name in ("Berlin", "../UTC", "", "europe/berlin\n", "America"))
