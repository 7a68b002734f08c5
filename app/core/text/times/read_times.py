"""Read the time that a question names: "last week", "in May", "two years ago" in eight languages (pure).

Dates are calendar dates in the time zone of `now`. A name that could mean several years, such as "in May", means all.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from app.core.text.folding import fold
from app.core.text.times.time_words import CHINESE, ENGLISH, TIME_WORDS, UNITS, TimeWords

DAY = dt.timedelta(days=1)
UNIT_DAYS = {"day": 1.0, "week": 7.0, "month": 30.44, "year": 365.25, "weekend": 7.0}
TOLERANCE = 0.55
"""Of a unit: "two weeks ago" is a day between 10 and 18 days ago."""
RECENT = 30 * DAY
EDGE, EDGE_SHARE = DAY, 0.5
"""What was told a day earlier or later fits half: a day begins elsewhere, and is told of on the next."""
SEASON_STARTS = (3, 6, 9, 12)
"""Months, in the northern half of the world."""
ENGLISH_MONTHS = ENGLISH.months.split()
# Capitalized, because `may` is more often a verb.
CAPITALIZED_MONTH = re.compile(rf"\b(?:{'|'.join(month.title() for month in ENGLISH_MONTHS)})\b")
PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
MASK = "\0"
YEARS = range(1100, 9000)
"""Of `now`, so that "999 years ago" and the margins are dates, too."""
MAX_QUESTION = 1000
"""Characters that are read: a longer message seldom names the time of what it asks for."""


class Period(NamedTuple):
    start: dt.datetime | None
    end: dt.datetime | None

    def share(self, moment: dt.datetime) -> float:
        """1 within, a half near its edges, otherwise 0."""
        if (self.start is None or moment >= self.start) and (self.end is None or moment < self.end):
            return 1.0
        near = (self.start is None or moment >= self.start - EDGE) and (self.end is None or moment < self.end + EDGE)
        return EDGE_SHARE if near else 0.0


@dataclass(frozen=True, slots=True)
class NamedTimes:
    periods: tuple[Period, ...] = ()
    months: frozenset[int] = frozenset()
    """Of any year."""
    rest: str = ""
    """The question without the words for time, as far as it is written in ASCII."""

    def share(self, moment: dt.datetime) -> float:
        if moment.month in self.months:
            return 1.0
        return max((period.share(moment) for period in self.periods), default=0.0)

    def adding(self, period: Period | None) -> "NamedTimes":
        return self if period is None else replace(self, periods=(*self.periods, period))

    def __bool__(self) -> bool:
        return bool(self.periods or self.months)


NO_TIMES = NamedTimes()


@dataclass(frozen=True, slots=True)
class Found:
    """A match of a pattern, with the words that stand for its placeholders."""

    words: TimeWords
    values: dict[str, str]
    now: dt.datetime

    @property
    def today(self) -> dt.datetime:
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0)

    def number(self, missing: int) -> int:
        text = self.values.get("n")
        if text is None:
            return missing
        return int(text) if text.isdigit() else self._place(text, self.words.numbers) + 1

    def unit(self) -> str:
        return UNITS[
            next(at for at, unit in enumerate(self.words.units) if _exactly(unit).fullmatch(self.values["unit"]))
        ]

    def month(self) -> int:
        return self._place(self.values["month"], self.words.months) + 1

    def weekday(self) -> int:
        return self._place(self.values["weekday"], self.words.weekdays)

    def season(self) -> int:
        return self._place(self.values["season"], self.words.seasons)

    def _place(self, text: str, names: str) -> int:
        return next(at for at, name in enumerate(names.split()) if _exactly(name).fullmatch(text))


Meaning = Period | frozenset[int] | None
"""A period, months of any year, or nothing if the date does not exist."""
Reading = Callable[[Found], Meaning]


def _days_ago(days: int) -> Reading:
    return lambda found: Period(found.today - days * DAY, found.today - (days - 1) * DAY)


def _ago(found: Found) -> Meaning:
    # A dual such as Arabic's "two days" has no number of its own.
    number, length = found.number(2 if found.values["unit"].endswith("ين") else 1), UNIT_DAYS[found.unit()]
    middle = found.today - number * length * DAY
    around = 0 * DAY if length == 1 else TOLERANCE * length * DAY
    return Period(middle - around, middle + around + DAY)


def _within(found: Found) -> Meaning:
    unit = found.unit()
    return Period(found.today - found.number(1 if unit != "day" else 3) * UNIT_DAYS[unit] * DAY, found.now + DAY)


def _last(found: Found) -> Meaning:
    return _calendar_unit(found.today, found.unit(), ago=1)


def _this(found: Found) -> Meaning:
    return _calendar_unit(found.today, found.unit(), ago=0)


def _calendar_unit(today: dt.datetime, unit: str, *, ago: int) -> Period:
    monday = today - today.weekday() * DAY
    if unit == "weekend":
        saturday = monday - (2 if ago else -5) * DAY
        return Period(saturday, saturday + 2 * DAY)
    if unit == "week":
        return Period(monday - ago * 7 * DAY, monday - (ago - 1) * 7 * DAY)
    if unit == "day":
        return Period(today - 7 * ago * DAY, today + DAY)
    if unit == "year":
        return Period(_first_of(today, today.year - ago, 1), _first_of(today, today.year - ago + 1, 1))
    return _months_from(today, today.year, today.month - ago, 1)


def _months_from(today: dt.datetime, year: int, month: int, months: int) -> Period:
    return Period(_first_of(today, year, month), _first_of(today, year, month + months))


def _first_of(today: dt.datetime, year: int, month: int) -> dt.datetime:
    """`month` may be before or after the year."""
    years, month = divmod(month - 1, 12)
    return today.replace(year=year + years, month=month + 1, day=1)


def _last_named(found: Found) -> Meaning:
    if "season" in found.values:
        start = SEASON_STARTS[found.season()]
        last = _months_from(found.today, found.today.year, start, 3)
        return last if last.end and last.end <= found.now else _months_from(found.today, found.today.year - 1, start, 3)
    day = found.today - ((found.today.weekday() - found.weekday() - 1) % 7 + 1) * DAY
    return Period(day, day + DAY)


def _date(found: Found) -> Meaning:
    month = int(found.values["digits"]) if "digits" in found.values else found.month()
    year, day = int(found.values.get("year") or 0), found.values.get("day")
    try:
        start = found.today.replace(year=year or found.today.year, month=month, day=int(day or 1))
        if day is None:
            return _months_from(found.today, start.year, month, 1)
        if not year and start > found.now:
            start = start.replace(year=start.year - 1)
    except ValueError:
        return None
    return Period(start, start + DAY)


def _month(found: Found) -> Meaning:
    return frozenset([found.month()])


def _year(found: Found) -> Meaning:
    return Period(
        _first_of(found.today, int(found.values["year"]), 1), _first_of(found.today, int(found.values["year"]) + 1, 1)
    )


def _recently(found: Found) -> Meaning:
    return Period(found.now - RECENT, found.now + DAY)


class Rule(NamedTuple):
    words: TimeWords
    pattern: str
    read: Reading


class Grammar(NamedTuple):
    """The rules of languages that share a script. Patterns are compiled when they are needed first."""

    script: str
    any_rule: str
    """Matches wherever a rule does: most questions name no time."""
    rules: tuple[Rule, ...]


def read_times(question: str, now: dt.datetime) -> NamedTimes:
    """What the question names, relative to `now`."""
    return mask_times(question, now)[0]


def mask_times(question: str, now: dt.datetime) -> tuple[NamedTimes, str]:
    """With the folded question, in which the words for time are masked."""
    if len(question) > MAX_QUESTION or now.year not in YEARS:
        return NO_TIMES, question
    text = fold(question)
    periods: list[Period] = []
    months: set[int] = set()
    for grammar in _grammars():
        if _compiled(grammar.script).search(text) and _compiled(grammar.any_rule).search(text):
            text = _apply(grammar.rules, text, now, periods, months)
    for match in CAPITALIZED_MONTH.finditer(question) if question.isascii() else ():
        if MASK not in text[match.start() : match.end()]:
            months.add(ENGLISH_MONTHS.index(match.group().lower()) + 1)
    if not periods and not months:
        return NO_TIMES, text
    return NamedTimes(tuple(periods), frozenset(months), _without_masked(question, text)), text


def _apply(rules: tuple[Rule, ...], text: str, now: dt.datetime, periods: list[Period], months: set[int]) -> str:
    for rule in rules:
        for match, meaning in _meanings(rule, text, now):
            text = text[: match.start()] + MASK * (match.end() - match.start()) + text[match.end() :]
            open_ended = _open_end(rule.words, text, match, meaning)
            if isinstance(open_ended, Period):
                periods.append(open_ended)
            else:
                months.update(open_ended or ())
    return text


def _meanings(rule: Rule, text: str, now: dt.datetime) -> Iterator[tuple[re.Match[str], Meaning]]:
    for match in _compiled(rule.pattern).finditer(text):
        values = {name.rsplit("_", 1)[0]: value for name, value in match.groupdict().items() if value is not None}
        yield match, rule.read(Found(rule.words, values, now))


def _open_end(words: TimeWords, text: str, match: re.Match[str], meaning: Meaning) -> Meaning:
    """The time until or since it, if the words around it say so."""
    if not isinstance(meaning, Period):
        return meaning
    if _is_beside(words.until, text, match):
        return Period(None, meaning.start)
    return Period(meaning.start, None) if _is_beside(words.since, text, match) else meaning


def _is_beside(pattern: str, text: str, match: re.Match[str]) -> bool:
    beside = text[match.end() :] if pattern.startswith("^") else text[: match.start()]
    return _compiled(pattern).search(beside) is not None


def _without_masked(question: str, text: str) -> str:
    if len(question) != len(text) or not question.isascii():
        return question
    return "".join(letter for letter, read in zip(question, text, strict=True) if read != MASK)


@cache
def _grammars() -> tuple[Grammar, ...]:
    by_script: dict[str, list[TimeWords]] = {}
    for words in TIME_WORDS:
        by_script.setdefault(words.script, []).append(words)
    return tuple(_grammar(script, languages) for script, languages in by_script.items())


def _grammar(script: str, languages: list[TimeWords]) -> Grammar:
    sources = [(words, _fill(template, words), read) for words in languages for template, read in _templates(words)]
    any_rule = "|".join(re.sub(r"\?P<\w+>", "?:", source) for _, source, _ in sources)
    rules = tuple(Rule(words, source, read) for words, source, read in sources)
    # Every pattern begins at a word, except in Chinese, which does not separate words.
    start = "" if CHINESE in languages else r"(?<!\w)"
    return Grammar(script, f"{start}(?:{any_rule})", rules)


def _templates(words: TimeWords) -> Iterator[tuple[str, Reading]]:
    """In the order in which they are read: what one has matched, no later one matches."""
    yield r"\b{year}-{digits}-{day}\b", _date
    for days in (2, 1, 0):
        yield words.days[days], _days_ago(days)
    yield words.ago, _ago
    yield words.within, _within
    yield words.last_named, _last_named
    yield words.last, _last
    yield words.this, _this
    for template in words.date:
        yield template, _date
    yield words.month, _month
    yield words.year, _year
    yield words.recently, _recently


def _fill(template: str, words: TimeWords) -> str:
    """Named groups for the placeholders, numbered because a name may stand only once in a pattern."""
    choices = {
        "n": rf"\d{{1,3}}|{_any_of(words.numbers.split())}",
        "unit": _any_of(words.units),
        "month": _any_of(words.months.split()),
        "weekday": _any_of(words.weekdays.split()),
        "season": _any_of(words.seasons.split()),
        "day": r"\d{1,2}",
        "year": r"(?:19|20)\d\d",
        "digits": r"0\d|1[012]",
    }
    parts = PLACEHOLDER.split(template)
    named = [f"(?P<{name}_{at}>{fold(choices[name])})" for at, name in enumerate(parts[1::2])]
    return "".join(fold(text) + group for text, group in zip(parts[::2], [*named, ""], strict=True))


def _any_of(names: list[str] | tuple[str, ...]) -> str:
    return "|".join(names)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _exactly(name: str) -> re.Pattern[str]:
    return re.compile(fold(name))
