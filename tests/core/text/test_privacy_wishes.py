# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Which messages wish not to be stored, and which only look like it."""

from typing import NamedTuple

import pytest

from app.core.text.privacy_wishes import asks_not_to_store


class Messages(NamedTuple):
    wishes: tuple[str, ...]
    others: tuple[str, ...]


MESSAGES = {
    "en": Messages(
        (
            "Don't remember this.",
            "I think I will quit my job. Please don\N{RIGHT SINGLE QUOTATION MARK}t save this.",
            "Off the record: I am looking for a new job.",
            "This is off the record, I may move to Rome.",
            "Between you and me, I cannot stand my boss",
            "I am pregnant, but please keep this between us.",
            "Do not store this in your memory, I feel sad today",
            "My salary is 3000, keep it to yourself!",
        ),
        (
            "I don't remember this song",
            "Don't save that file before the tests are green",
            "He told me off the record that they will close",
            "What is the difference between us and them?",
            "Did she keep it between us?",
            "How do I keep a secret to myself?",
            "You don't remember this?",
            "What does off the record mean?",
        ),
    ),
    "de": Messages(
        (
            "Merk dir das bitte nicht.",
            "Unter uns gesagt, ich kündige bald",
            "Ich kündige bald, das bleibt bitte unter uns.",
            "Behalte das für dich: ich ziehe um",
            "Speichere das nicht!",
        ),
        ("Das merke ich mir nicht so leicht", "Unter uns wohnt eine Familie", "Warum speichert er das nicht?"),
    ),
    "es": Messages(
        (
            "No guardes esto.",
            "Entre nosotros, voy a dejar mi trabajo",
            "Voy a dejar mi trabajo. Que quede entre nosotros",
            "Por favor, no recuerdes esto: estoy triste",
        ),
        ("No recuerdo esto", "¿Qué hay entre nosotros y ellos?", "No guardes la carne fuera de la nevera"),
    ),
    "tr": Messages(
        ("Bunu kaydetme.", "İşimden ayrılıyorum, aramızda kalsın", "Lütfen bunu hatırlama!", "Kayıt dışı: taşınıyorum"),
        ("Bunu hatırlamıyorum", "Aramızda iki yaş var", "Dosyayı kaydetmeyi unuttum"),
    ),
    "zh": Messages(
        ("不要记住这个。", "我打算辞职，请不要保存这条消息", "别记录这些", "这件事就我们俩知道，我怀孕了"),
        ("我不记得这个", "怎么保存这个文件？", "不要忘记买牛奶"),
    ),
    "hi": Messages(
        ("इसे याद मत रखना।", "मैं नौकरी छोड़ रहा हूँ, यह बात हमारे बीच ही रहे", "इसे सेव मत करो"),
        ("मुझे यह याद नहीं है", "हमारे बीच दो साल का अंतर है", "फ़ाइल कैसे सेव करें?"),
    ),
    "ru": Messages(
        (
            "Не запоминай это.",
            "Между нами, я увольняюсь",
            "Я увольняюсь. Пусть это останется между нами",
            "Не для протокола: я устал",
        ),
        ("Я это не запоминаю", "Между нами два года разницы", "Почему он не сохраняет это?"),
    ),
    "ar": Messages(
        ("لا تحفظ هذا.", "سأترك عملي، هذا بيني وبينك", "من فضلك لا تسجل هذا"),
        ("لا أتذكر هذا", "ما الفرق بيننا وبينهم؟", "لا تحفظ الملف قبل المراجعة"),
    ),
}


@pytest.mark.parametrize("language", MESSAGES)
def test_wishes_are_recognised_and_nothing_else(language: str) -> None:
    wishes, others = MESSAGES[language]
    assert [each for each in wishes if not asks_not_to_store(each)] == []
    assert [each for each in others if asks_not_to_store(each)] == []
