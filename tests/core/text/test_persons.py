# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Whom a question is about, in eight languages."""

from typing import NamedTuple

import pytest

from app.core.text.persons import is_named, question_languages, speaks_of_user, speaks_to_assistant


class Questions(NamedTuple):
    of_user: tuple[str, ...]
    to_assistant: str
    name: str
    of_name: str


QUESTIONS = {
    "en": Questions(
        ("Where do I live?", "What is my dog called?"), "What did you tell Anna?", "anna", "What is Anna's dog called?"
    ),
    "de": Questions(
        ("Wo wohne ich?", "Wie heißt mein Hund?"), "Was hast du Anna gesagt?", "anna", "Wie heißt Annas Hund?"
    ),
    "es": Questions(
        ("¿Dónde vivo?", "¿Cómo se llama mi perro?"), "¿Qué le dijiste tú a Ana?", "ana", "¿Cómo es el perro de Ana?"
    ),
    "tr": Questions(
        ("Nerede yaşıyorum?", "Köpeğimin adı ne?", "Dün ne yaptım?"),
        "Sen ne dedin?",
        "ali",
        "Ali'nin köpeğinin adı ne?",
    ),
    "zh": Questions(("我住在哪里？", "我的狗叫什么？"), "你说了什么？", "小明", "小明住在哪里？"),
    "hi": Questions(("मैं कहाँ रहता हूँ?", "मेरे कुत्ते का नाम क्या है?"), "तुमने क्या कहा?", "अमित", "अमित कहाँ रहता है?"),
    "ru": Questions(("Где я живу?", "Как зовут мою собаку?"), "Что ты сказал?", "анна", "Как зовут собаку Анны?"),
    "ar": Questions(("أين أسكن أنا؟", "ما اسم كلبي؟", "ما هو عملي؟"), "ماذا قلت أنت؟", "أحمد", "أين يسكن أحمد؟"),
}


def persons(question: str) -> tuple[bool, bool]:
    languages = question_languages(question)
    return speaks_of_user(question, languages), speaks_to_assistant(question, languages)


@pytest.mark.parametrize("language", QUESTIONS)
def test_persons_of_a_question_are_read(language: str) -> None:
    of_user, to_assistant, _, of_name = QUESTIONS[language]
    assert [persons(each) for each in of_user] == [(True, False)] * len(of_user)
    assert persons(to_assistant) == (False, True)
    assert persons(of_name) == (False, False)


@pytest.mark.parametrize("language", [each for each in QUESTIONS if each != "en"])
def test_forms_of_a_name_are_read(language: str) -> None:
    _, _, name, question = QUESTIONS[language]
    languages = question_languages(question)
    assert is_named(name, question, languages)
    assert not is_named("peter", question, languages)


def test_words_of_other_languages_are_no_persons_in_english() -> None:
    assert persons("Where does Ben live?") == (False, False)
    assert persons("Who met Tu Youyou?") == (False, False)
