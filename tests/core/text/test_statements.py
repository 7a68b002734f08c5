# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
import pytest

from app.core.text.statements import echoes, states_nothing

NOTHING = (
    "Hello there!",
    "Hi! How are you?",
    "Where do I work?",
    "what is my blood type",
    "Thanks a lot",
    "Write a poem about the sea",
    "Wo wohne ich?",
    "Hallo, guten Morgen",
    "¿Dónde vivo?",
    "Merci beaucoup !",
    "Benim kan grubum ne?",
    "我住在哪里？",
    "你好",
    "Где я живу?",
    "मेरा नाम क्या है?",
    "أين أعيش؟",
)
SOMETHING = (
    "Berlin",
    "I have a cat, what does it eat?",
    "Hello! I moved to Lisbon.",
    "Can you recommend a restaurant? I am vegan.",
    "Remember that I am allergic to nuts",
    "Write down my address: Elm Street 5",
    "When I was six, we lived in Rome.",
    "Will is my brother.",
    "No, on Tuesday at 5",
    "Always answer in bullet points",
    "Ich wohne in Köln. Und du?",
    "Vivo en Lima",
    "我住在北京，你呢？",
    "Я живу в Омске",
)


@pytest.mark.parametrize("text", NOTHING)
def test_questions_greetings_and_commands_state_nothing(text: str) -> None:
    assert states_nothing(text)


@pytest.mark.parametrize("text", SOMETHING)
def test_what_may_be_a_statement_states_something(text: str) -> None:
    assert not states_nothing(text)


def test_answer_that_repeats_what_it_was_given_is_an_echo() -> None:
    memories = ["I work at Birch", "My sister is called Ada"]
    assert echoes("You work at Birch, and your sister is called Ada.", memories)
    assert not echoes("You work at Birch. The company was founded in 1990 by two carpenters.", memories)
    assert not echoes("", memories)
