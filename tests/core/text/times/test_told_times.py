# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Questions for all that was said in a time, and questions that also say what about."""

import datetime as dt

import pytest

from app.core.text.times.told_times import read_told_times

NOW = dt.datetime(2026, 5, 20, 12, tzinfo=dt.UTC)
TIME_ONLY = {
    "English": (
        "What did I say today?",
        "What did we talk about yesterday?",
        "Tell me what I said last week",
        "What did I mention in May?",
        "what did I write the day before yesterday",
    ),
    "German": ("Was habe ich heute gesagt?", "Worüber haben wir gestern gesprochen?"),
    "Spanish": ("¿Qué dije hoy?", "¿De qué hablamos ayer?", "¿Qué te he contado la semana pasada?"),
    "Turkish": ("Bugün ne söyledim?", "Dün ne konuştuk?", "Geçen hafta sana ne anlattım?"),
    "Chinese": ("我今天说了什么？", "我们昨天聊了什么？", "上周我跟你说过什么？"),
    "Hindi": ("मैंने आज क्या कहा?", "कल हमने क्या बात की?", "मैंने पिछले हफ्ते तुम्हें क्या बताया?"),
    "Russian": ("Что я говорил сегодня?", "О чём мы говорили вчера?", "Что я тебе рассказывал на прошлой неделе?"),
    "Arabic": ("ماذا قلت اليوم؟", "عن ماذا تحدثنا أمس؟", "ماذا أخبرتك الأسبوع الماضي؟"),
}
MORE = {
    "English": ("What did I say about tea today?", "What did I eat today?", "What did Anna say today?"),
    "German": ("Was habe ich heute gegessen?", "Was hat Anna gestern gesagt?"),
    "Spanish": ("¿Qué comí hoy?", "¿Qué dijo Ana ayer?"),
    "Turkish": ("Bugün ne yedim?",),
    "Chinese": ("我今天吃了什么？", "安娜昨天说了什么？"),
    "Hindi": ("मैंने आज क्या खाया?", "आना ने कल क्या कहा?"),
    "Russian": ("Что я ел сегодня?", "Что Анна говорила вчера?"),
    "Arabic": ("ماذا أكلت اليوم؟", "ماذا قالت آنا أمس؟"),
}


@pytest.mark.parametrize("language", TIME_ONLY)
def test_question_for_all_that_was_said_in_a_time_is_recognized(language: str) -> None:
    missed = [each for each in TIME_ONLY[language] if not read_told_times(each, NOW, in_conversation=True)]
    assert missed == []


@pytest.mark.parametrize("language", MORE)
def test_question_that_says_what_about_is_searched_for(language: str) -> None:
    wrong = [each for each in MORE[language] if read_told_times(each, NOW)]
    assert wrong == []


def test_time_alone_is_a_query_but_no_question_of_a_conversation() -> None:
    for text in ("yesterday", "last week", "two weeks ago"):
        assert read_told_times(text, NOW), text
        assert read_told_times(text, NOW, in_conversation=True) is None, text
    assert read_told_times("What did I say?", NOW) is None, "it names no time"
