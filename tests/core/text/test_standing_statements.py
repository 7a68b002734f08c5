# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Which statements apply to every answer, in the eight languages of the rules."""

import time

import pytest

from app.core.text.standing_statements import MAX_EXCERPT, is_standing, standing_excerpt

STANDING = """
Always answer in German.
Never use emojis.
Always include the sources when I ask about medicine.
please answer in bullet points
Please use metric units in your answers
I prefer short answers
I'm kinda struggling with my essay, and I prefer using Word over Google Docs, can you help me with that?
I am vegetarian.
I'm allergic to peanuts
Call me Sam
From now on, reply in French
Whenever I ask for a recipe, leave out meat.
I don't eat pork
User prefers bullet points
The user is vegetarian
Antworte immer auf Deutsch
Bitte antworte auf Deutsch.
Ich bin Vegetarierin
Nenn mich Max
Ich bevorzuge kurze Antworten
Responde siempre en español
Soy vegetariana
Prefiero respuestas cortas
Llámame Ana
Her zaman Türkçe cevap ver
Vejetaryenim
Kısa cevapları tercih ederim
请用中文回答
我是素食者
我对花生过敏
叫我小王
हमेशा हिंदी में जवाब दो
मैं शाकाहारी हूँ
मुझे मूंगफली से एलर्जी है
Всегда отвечай по-русски
Я вегетарианец
У меня аллергия на орехи
Зови меня Саша
أجب دائما بالعربية
أنا نباتي
لدي حساسية من الفول السوداني
أفضل الإجابات القصيرة
""".strip().splitlines()
ORDINARY = """
I always go running on Sunday
I never liked that film
Always happy to help!
Never saw this coming.
Never mind
Never give up!
Whenever I see her I smile
Do you know what I prefer?
Call me tomorrow
I like tea
Please write a poem
Write a story about cats
Use the second approach
My sister is vegetarian
Der Film war immer gut
Ich esse gern Pizza
Me gusta el té
Ankara'da yaşıyorum
我住在北京
मैं दिल्ली में रहता हूँ
Я живу в Москве
أنا أعيش في القاهرة
""".strip().splitlines()


@pytest.mark.parametrize(("texts", "expected"), [(STANDING, True), (ORDINARY, False)], ids=["standing", "ordinary"])
def test_instructions_and_preferences_are_told_from_other_statements(texts: list[str], expected: bool) -> None:
    assert [text for text in texts if is_standing(text) is not expected] == []


def test_excerpt_of_a_long_memory_is_its_standing_sentences() -> None:
    code = "let x = 1;\n" * 100
    assert standing_excerpt(f"I built a page. I prefer Bootstrap over Foundation. Here it is:\n{code}") == (
        "I prefer Bootstrap over Foundation."
    )
    assert standing_excerpt("I prefer tea. I live in Paris.") == "I prefer tea. I live in Paris."
    assert len(standing_excerpt(code)) == MAX_EXCERPT


@pytest.mark.parametrize("text", ["." * 50_000, "मैं " * 20_000, "please " * 20_000, "always " * 20_000])
def test_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    """Measured in processor time, so that a busy machine does not matter. A quadratic pattern takes minutes."""
    began = time.process_time()
    is_standing(text)
    assert time.process_time() - began < 2
