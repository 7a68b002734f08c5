# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
import pytest

from app.adapters.models.offline import OFFLINE_NOTE, OfflineExtractor, OfflineModel
from app.core.ports import ChatMessage, ExtractionRequest, ModelOptions, Role, Token, Usage
from app.core.text.fenced_text import MEMORIES, Fence
from app.core.text.sentences import split_sentences
from app.core.text.statements import is_statement

STATEMENTS = [
    "I'm vegan.",
    "I moved to Lisbon last week.",
    "Hi, I'm Ana and I live in Rome.",
    "My daughter Sara loves painting",
    "When I was six, we lived in Kenya.",
    "Will is my brother.",
    "Remember that I am allergic to nuts.",
    "Book club meets on Mondays.",
    "Ich wohne seit drei Jahren in Wien.",
    "Je suis allergique aux noix.",
    "Trabajo como enfermera en Sevilla.",
    "Lavoro a Torino da maggio.",
    "Eu moro em Lisboa com a minha irmã.",
    "Я живу в Праге уже пять лет.",
    "أنا أعيش في القاهرة مع عائلتي.",
    "मैं दिल्ली में रहता हूँ।",
    "私は東京に住んでいます。",
    "我住在上海。",
    "저는 서울에 살고 있습니다.",
    "ผมอาศัยอยู่ที่เชียงใหม่",
]
NO_STATEMENTS = [
    "",
    "Hello!",
    "Hello Anna",
    "Good morning, how are you doing",
    "Thanks a lot for your help!",
    "Thank you, that solved my printer problem.",
    "Ok, great, sounds good.",
    "What is the capital of France?",
    "what do you know about me",
    "Is my flight tomorrow",
    "Can you recommend a book?!",
    "Tell me a joke about my cat.",
    "Please write a poem for my wife.",
    "Book me a table for two.",
    "Forget that I live in Rome.",
    "I want you to forget that I live in Rome.",
    "Here is the list:",
    "Guten Morgen!",
    "Wie heißt meine Schwester?",
    "Erzähl mir einen Witz.",
    "Merci beaucoup !",
    "¿Dónde vivo?",
    "Olvida que vivo en Sevilla.",
    "Спасибо большое!",
    "Расскажи мне шутку.",
    "أين أعيش؟",
    "こんにちは。",
    "東京の天気はどうですか。",
    "你叫什么名字？",
    "谢谢你！",
    "안녕하세요!",
]


IN_EIGHT_LANGUAGES = [
    pytest.param("I am allergic to nuts.", id="en"),
    pytest.param("Ich bin allergisch gegen Nüsse.", id="de"),
    pytest.param("Soy alérgica a las nueces.", id="es"),
    pytest.param("Fındığa alerjim var.", id="tr"),
    pytest.param("我对坚果过敏。", id="zh"),
    pytest.param("मुझे मेवों से एलर्जी है।", id="hi"),
    pytest.param("У меня аллергия на орехи.", id="ru"),
    pytest.param("عندي حساسية من المكسرات.", id="ar"),
]


@pytest.mark.parametrize("sentence", STATEMENTS)
def test_statement_is_kept(sentence: str) -> None:
    assert is_statement(sentence)


@pytest.mark.parametrize("sentence", NO_STATEMENTS)
def test_other_sentences_are_not_kept(sentence: str) -> None:
    assert not is_statement(sentence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I moved. I like it! Do you?", ["I moved.", "I like it!", "Do you?"]),
        ("Dr. Kim costs 3.5 euros, e.g. on Mondays. Fine.", ["Dr. Kim costs 3.5 euros, e.g. on Mondays.", "Fine."]),
        ('She said "I will." Then she left.', ['She said "I will."', "Then she left."]),
        ("私は東京に住んでいます。猫がいますか？はい。", ["私は東京に住んでいます。", "猫がいますか？", "はい。"]),
        ("one\n\ntwo", ["one", "two"]),
        ("أنا طبيب. أين أعيش؟", ["أنا طبيب.", "أين أعيش؟"]),
        ("   ", []),
    ],
)
def test_text_is_split_into_sentences(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


async def test_statements_of_the_user_are_kept_word_for_word() -> None:
    said = ExtractionRequest(
        messages=[
            ChatMessage(Role.SYSTEM, "You live in a castle made of glass."),
            ChatMessage(Role.USER, "Hi! I moved to Lisbon last week. What should I see? I moved to Lisbon last week."),
            ChatMessage(Role.ASSISTANT, "You should see the tower of Belém."),
        ]
    )
    extraction = await OfflineExtractor().extract(said)
    assert [fact.text for fact in extraction.facts] == ["I moved to Lisbon last week."]
    assert extraction.note == OFFLINE_NOTE


@pytest.mark.parametrize("said", IN_EIGHT_LANGUAGES)
async def test_statements_stay_in_the_language_of_the_speaker(said: str) -> None:
    extraction = await OfflineExtractor().extract(ExtractionRequest(messages=[ChatMessage(Role.USER, said)]))
    assert [fact.text for fact in extraction.facts] == [said]


async def answer(system: str, options: ModelOptions | None = None) -> list[str]:
    messages = [ChatMessage(Role.SYSTEM, system), ChatMessage(Role.USER, "Where do I live?")]
    parts = [part async for part in OfflineModel().stream(messages, options or ModelOptions())]
    assert [part for part in parts if isinstance(part, Usage)] == [Usage()]
    assert isinstance(parts[-1], Usage)
    return [part.text for part in parts if isinstance(part, Token)]


async def test_offline_answer_lists_related_memories() -> None:
    tokens = await answer(
        f"Be kind.\n\n{Fence().enclose(MEMORIES, ['- Lives in Lisbon', '- Likes tea'])}\n\nToday is Monday.\n- not this"
    )
    text = "".join(tokens)
    assert text.startswith("No language model is configured")
    assert text.endswith("\n- Lives in Lisbon\n- Likes tea")
    assert len(tokens) > 10


async def test_offline_answer_says_that_there_are_no_memories() -> None:
    assert "no related memories" in "".join(await answer("Be kind.\n- and brief"))


async def test_offline_answer_respects_max_tokens() -> None:
    assert len(await answer("Be kind.", ModelOptions(max_tokens=4))) == 4
