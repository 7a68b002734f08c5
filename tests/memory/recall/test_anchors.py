# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""The time before or after an event that a question tells."""

import datetime as dt
import uuid

import pytest

from app.core.text.times.read_times import Period
from app.memory.ledger import Kind
from app.memory.recall import RankingInput
from app.memory.recall.anchors import period_of_event

NOW = dt.datetime(2026, 11, 18, tzinfo=dt.UTC)
MOVED = NOW - dt.timedelta(days=200)
EVENTS = {
    "en": ("Where did I work before I moved to Oslo?", "I moved to Oslo", "Where did I work?"),
    "de": ("Wo habe ich gearbeitet, bevor ich nach Oslo gezogen bin?", "Ich bin nach Oslo gezogen", "War das vorher?"),
    "es": ("¿Dónde trabajaba antes de que me mudara a Oslo?", "Hoy me mudaron a Oslo", "¿Dónde trabajaba antes?"),
    "tr": ("Oslo'ya taşınmadan önce nerede çalışıyordum?", "Oslo'ya taşındım", "Önce nerede çalıştım?"),
    "zh": ("我搬到奥斯陆之前在哪里工作？", "我搬到奥斯陆了", "我以前在哪里工作？"),
    "hi": ("ओस्लो जाने से पहले मैं कहाँ काम करता था?", "आज ओस्लो जाने का दिन है", "पहले मैं कहाँ काम करता था?"),
    "ru": ("Где я работал до того, как переехал в Осло?", "Я переехал в Осло", "Где я работал до этого?"),
    "ar": ("أين كنت أعمل قبل أن أنتقل إلى أوسلو؟", "أريد أن أنتقل إلى أوسلو", "أين كنت أعمل قبل ذلك؟"),
}


def told(content: str, at: dt.datetime) -> RankingInput:
    return RankingInput(uuid.uuid4(), 0.3, 2.0, Kind.EPISODE, "user", content, None, None, at)


OTHER = told("Oslo", NOW)


@pytest.mark.parametrize("language", EVENTS)
def test_event_is_dated_by_the_memory_that_states_it(language: str) -> None:
    question, statement, without_event = EVENTS[language]
    found = [OTHER, told(statement, MOVED)]
    assert period_of_event(question, found) == Period(None, MOVED)
    assert period_of_event(question, []) is None
    assert period_of_event(without_event, found) is None


def test_question_dates_no_event() -> None:
    assert period_of_event("What did I do after I moved to Oslo?", [told("Have I moved to Oslo?", MOVED)]) is None


def test_time_after_an_event_begins_with_it() -> None:
    assert period_of_event("Where did I live since we moved to Oslo?", [told("We moved to Oslo", MOVED)]) == Period(
        MOVED, None
    )
