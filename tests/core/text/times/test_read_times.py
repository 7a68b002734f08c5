"""Which time a question names, in eight languages."""

import datetime as dt
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.text.times.read_times import read_times
from tests.core.text.times.time_questions import QUESTIONS

NOW = dt.datetime(2026, 11, 18, 15, tzinfo=dt.UTC)
"""A Wednesday."""


class Days(NamedTuple):
    within: dt.date | None
    outside: dt.date


MEANINGS = {
    "today": Days(dt.date(2026, 11, 18), dt.date(2026, 11, 10)),
    "yesterday": Days(dt.date(2026, 11, 17), dt.date(2026, 11, 15)),
    "before yesterday": Days(dt.date(2026, 11, 16), dt.date(2026, 11, 18)),
    "three days ago": Days(dt.date(2026, 11, 15), dt.date(2026, 11, 11)),
    "this week": Days(dt.date(2026, 11, 16), dt.date(2026, 11, 10)),
    "last monday": Days(dt.date(2026, 11, 16), dt.date(2026, 11, 12)),
    "last weekend": Days(dt.date(2026, 11, 14), dt.date(2026, 11, 11)),
    "last week": Days(dt.date(2026, 11, 11), dt.date(2026, 11, 3)),
    "two weeks ago": Days(dt.date(2026, 11, 4), dt.date(2026, 11, 16)),
    "last month": Days(dt.date(2026, 10, 11), dt.date(2026, 8, 29)),
    "past 3 months": Days(dt.date(2026, 9, 20), dt.date(2026, 6, 1)),
    "recently": Days(dt.date(2026, 11, 1), dt.date(2026, 3, 1)),
    "last summer": Days(dt.date(2026, 7, 1), dt.date(2026, 3, 1)),
    "last year": Days(dt.date(2025, 5, 5), dt.date(2024, 5, 5)),
    "in may": Days(dt.date(2024, 5, 3), dt.date(2026, 7, 3)),
    "may 2025": Days(dt.date(2025, 5, 3), dt.date(2026, 5, 3)),
    "7 may 2025": Days(dt.date(2025, 5, 7), dt.date(2025, 5, 20)),
    "in 2024": Days(dt.date(2024, 9, 9), dt.date(2025, 9, 9)),
    "before may 2025": Days(dt.date(2025, 2, 1), dt.date(2025, 6, 3)),
    "since may 2025": Days(dt.date(2025, 7, 1), dt.date(2025, 2, 3)),
    "none": Days(None, dt.date(2026, 11, 17)),
}


def noon(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)


def means(question: str, days: Days) -> bool:
    times = read_times(question, NOW)
    if days.within is None:
        return not times
    return times.share(noon(days.within)) == 1.0 and times.share(noon(days.outside)) == 0.0


@pytest.mark.parametrize("language", QUESTIONS)
def test_every_time_is_read_and_nothing_else(language: str) -> None:
    questions = QUESTIONS[language]
    assert len(questions) >= 18
    wrong = [each for name, texts in questions.items() for each in texts if not means(each, MEANINGS[name])]
    assert wrong == []


def test_day_beside_the_named_one_counts_half() -> None:
    times = read_times("What did I do last Monday?", NOW)
    assert [times.share(noon(dt.date(2026, 11, day))) for day in (14, 15, 16, 17, 18)] == [0.0, 0.5, 1.0, 0.5, 0.0]


def test_days_begin_in_the_time_zone_of_the_question() -> None:
    tokyo = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))  # 19 November, shortly after midnight
    assert read_times("What did I do yesterday?", tokyo).share(NOW - dt.timedelta(hours=1)) == 1.0


def test_question_is_left_without_its_words_for_time() -> None:
    assert read_times("What did I eat last week?", NOW).rest == "What did I eat ?"


@pytest.mark.parametrize(
    "date", ["31 February 2025", "2025-02-30", "December 0", "0 December", "12/0/2025", "December 00"]
)
def test_date_that_does_not_exist_is_no_time(date: str) -> None:
    assert not read_times(f"What was on {date}?", NOW).periods


@settings(deadline=None)  # the first text of a script compiles its patterns
@given(st.text(max_size=80), st.datetimes(timezones=st.just(dt.UTC)))
def test_any_text_at_any_time_can_be_read(text: str, now: dt.datetime) -> None:
    read_times(text, now)


@pytest.mark.parametrize("moment", [dt.datetime.min, dt.datetime.max])
def test_no_time_is_read_at_the_ends_of_the_calendar(moment: dt.datetime) -> None:
    now = moment.replace(tzinfo=dt.UTC)
    for question in ("last year", "yesterday", "999 years ago", "in the last 999 years", "today", "last summer"):
        assert not read_times(question, now)
