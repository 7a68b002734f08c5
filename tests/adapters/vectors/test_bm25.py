# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Which words of a text the indexes read, in the languages of people who use them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.vectors.bm25 import ENGLISH, document_terms, query_terms, separate_unspaced
from app.core.text.hindi import stem_hindi

FORMS = {
    "ar": ("اشتريت كتاب جديد", "أين كتابي؟"),
    "ar vowels": ("كَتَبَ رسالة", "ماذا كتب؟"),
    "de": ("Ich habe zwei Häuser", "Wo ist mein Haus?"),
    "el": ("Έχω δύο σκύλους", "Πού είναι ο σκύλος;"),
    "es": ("Estoy corriendo en el parque", "¿Dónde suelo correr?"),
    "fr": ("Elle mangeait une pomme", "Qui veut manger des poires ?"),
    "hi": ("मेरी किताबें दिल्ली में हैं", "मेरी किताब कहाँ है?"),
    "ru": ("Я купил две книги", "Где моя книга?"),
    "th": ("ฉันชอบกินข้าวผัด", "ข้าวผัดอยู่ที่ไหน"),
    "tr": ("Kedilerim bahçede oynuyor", "Kedim nerede ve ne yapıyor?"),
    "zh": ("我喜欢喝绿茶", "绿茶在哪里？"),
}
WORDS_OF_BOTH = {
    "en": ("I own two dogs", "Where is the dog?"),
    "accents": ("Un café crème, s'il vous plaît", "cafe"),
    "dotted i": ("İstanbul'da yaşıyorum", "istanbul"),
    "one keyword": ("Ich war gestern im Schwimmbad", "Schwimmbad"),
    "other guess": ("Das ist unsere Anna von nebenan", "Who is Anna?"),
}


@pytest.mark.parametrize("pair", [*FORMS.values(), *WORDS_OF_BOTH.values()], ids=[*FORMS, *WORDS_OF_BOTH])
def test_other_form_of_a_word_is_found(pair: tuple[str, str]) -> None:
    statement, question = pair
    assert set(document_terms(statement).indices) & set(query_terms(question).indices)


@settings(deadline=None)  # the first text of a script compiles its patterns
@given(st.text(st.sampled_from("abc dieund ist mein wo é ß ı\u0301 дом и كتاب 学校 ก"), max_size=40))
def test_guess_of_a_language_loses_no_word(text: str) -> None:
    read_as_english = set(ENGLISH.embed_document(separate_unspaced(text)).indices)
    assert read_as_english <= set(document_terms(text).indices)
    assert set(query_terms(text).indices) == set(document_terms(text).indices)


def test_hindi_words_are_read_whole() -> None:
    assert len(query_terms("हिन्दी").indices) == 1
    assert stem_hindi("किताबें किताबों किताब") == "किताब किताब किताब"


def test_english_is_read_as_before() -> None:
    for text in ("I moved to Oslo on 7 May 2023", "Naïve questions are the best, don't you think?"):
        before = ENGLISH.embed_document(text)
        assert (document_terms(text).indices, document_terms(text).values) == (before.indices, before.values)
