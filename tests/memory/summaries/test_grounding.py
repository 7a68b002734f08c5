# ruff: noqa: RUF001  (letters of other scripts are intended)
"""A sentence says only what its episodes say, in the languages that a summary is written in."""

import pytest

from app.memory.summaries.grounding import is_grounded

GROUNDED = {
    "english": ("The user lent Bo 1,500 euros on 2026-05-01.", "2026-05-01 I lent Bo 1500 euros"),
    "possessive": ("The user likes Bo's garden in Faro.", "I like the garden of Bo in Faro"),
    "german": (
        "Der Nutzer war mit Anna in den Alpen und hatte einen Unfall.",
        "Ich war mit Anna in den Alpen, und es gab einen Unfall",
    ),
    "spanish": ("El usuario conoció a Inés en Oporto.", "Ayer conocí a Inés en Oporto"),
    "turkish": ("Kullanıcı Ankara'da Ayşe ile buluştu.", "Ankara'da Ayşe ile buluştum"),
    "russian": ("Пользователь живёт в Москве с Анной.", "Я живу: Москва, вместе с Анной, живёт и кот"),
    "chinese": ("用户在柏林学习德语。", "我在柏林学习德语"),
    "arabic": ("المستخدم يعيش في برلين منذ 2019", "أنا أعيش في برلين منذ 2019 يعيش"),
}
INVENTED = {
    "name": ("The user lent Max 1500 euros.", "I lent Bo 1500 euros"),
    "name that begins a sentence": ("Max lent the user 1500 euros.", "Bo lent me 1500 euros"),
    "nearly the same name": ("The user met Marie in Faro.", "I met Maria in Faro"),
    "number": ("The user lent Bo 2500 euros.", "I lent Bo 1500 euros"),
    "number in other digits": ("The user lent Bo ２５００ euros.", "I lent Bo 1500 euros"),
    "date": ("The user lent Bo 1500 euros on 2025-05-01.", "2026-05-01 I lent Bo 1500 euros"),
    "other words": ("the user enjoys painting landscapes every weekend", "I lent Bo 1500 euros"),
    "german name": ("Der Nutzer war mit Berta in den Alpen.", "Ich war mit Anna in den Alpen"),
    "russian name": ("Пользователь живёт в Казани с Анной.", "Я живу в Москве с Анной"),
    "chinese": ("用户喜欢喝绿茶。", "我在柏林学习德语"),
    "another language": ("El usuario tiene una deuda pendiente.", "I lent Bo 1500 euros"),
}


@pytest.mark.parametrize(("sentence", "episode"), GROUNDED.values(), ids=list(GROUNDED))
def test_what_was_said_is_grounded(sentence: str, episode: str) -> None:
    assert is_grounded(sentence, [episode])


@pytest.mark.parametrize(("sentence", "episode"), INVENTED.values(), ids=list(INVENTED))
def test_what_was_not_said_is_invented(sentence: str, episode: str) -> None:
    assert not is_grounded(sentence, [episode])
