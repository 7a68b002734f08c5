# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Which memories a request to forget means: two sets of wishes, and seven languages besides English."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from app.core.resources import Resources
from app.core.text.forget_requests import read_forget_request
from app.memory.meant import CandidateStatement, choose_meant
from bench.truth.wishes import FITTED, HELD_OUT, WishSet

LANGUAGES: dict[str, tuple[list[str], dict[str, int | None]]] = {
    "de": (
        [
            "Ich wohne in Berlin.",
            "Meine Schwester heißt Anna.",
            "Ich arbeite als Lehrerin.",
            "Ich bin allergisch gegen Nüsse.",
            "Meine Telefonnummer ist 030 1234.",
            "Ich spiele gern Klavier.",
            "Mein Hund heißt Bello.",
            "Ich trinke keinen Kaffee.",
            "Mein Geburtstag ist am 3. Mai.",
            "Ich fahre im Sommer nach Italien.",
        ],
        {
            "Vergiss, dass ich in Berlin wohne": 0,
            "Bitte vergiss meine Telefonnummer": 4,
            "Lösche die Erinnerung an meine Schwester": 1,
            "Vergiss meinen Geburtstag": 8,
            "Merk dir nicht, dass ich Klavier spiele": 5,
            "Vergiss meine Schuhgröße": None,
            "Vergiss, dass ich eine Katze habe": None,
        },
    ),
    "es": (
        [
            "Vivo en Madrid.",
            "Mi hermana se llama Lucía.",
            "Trabajo como médico.",
            "Soy alérgico a los mariscos.",
            "Mi número de teléfono es 600 123.",
            "Me gusta tocar la guitarra.",
            "Mi perro se llama Toby.",
            "No bebo café.",
            "Mi cumpleaños es el 3 de mayo.",
            "En verano viajo a Italia.",
        ],
        {
            "Olvida que vivo en Madrid": 0,
            "Por favor olvida mi número de teléfono": 4,
            "Borra lo que sabes de mi hermana": 1,
            "Olvida mi cumpleaños": 8,
            "No recuerdes que soy alérgico a los mariscos": 3,
            "Olvida mi talla de zapatos": None,
            "Olvida que tengo un gato": None,
        },
    ),
    "tr": (
        [
            "Ankara'da yaşıyorum.",
            "Kız kardeşimin adı Elif.",
            "Öğretmen olarak çalışıyorum.",
            "Fıstığa alerjim var.",
            "Telefon numaram 555 123.",
            "Piyano çalmayı severim.",
            "Köpeğimin adı Karabaş.",
            "Kahve içmem.",
            "Doğum günüm 3 Mayıs.",
            "Yazın İtalya'ya gidiyorum.",
        ],
        {
            "Ankara'da yaşadığımı unut": 0,
            "Lütfen telefon numaramı unut": 4,
            "Kız kardeşimi unut": 1,
            "Doğum günümü unut": 8,
            "Fıstık alerjimi unut": 3,
            "Ayakkabı numaramı unut": None,
            "Kedimi unut": None,
        },
    ),
    "zh": (
        [
            "我住在北京。",
            "我的妹妹叫小丽。",
            "我是一名老师。",
            "我对花生过敏。",
            "我的电话号码是 555123。",
            "我喜欢弹钢琴。",
            "我的狗叫旺财。",
            "我不喝咖啡。",
            "我的生日是五月三日。",
            "我夏天去意大利旅行。",
        ],
        {
            "忘记我住在北京": 0,
            "请忘掉我的电话号码": 4,
            "删除关于我妹妹的记忆": 1,
            "忘记我的生日": 8,
            "不要记住我对花生过敏": 3,
            "忘记我的鞋码": None,
            "忘记我有一只猫": None,
        },
    ),
    "hi": (
        [
            "मैं दिल्ली में रहता हूँ।",
            "मेरी बहन का नाम अनीता है।",
            "मैं शिक्षक के रूप में काम करता हूँ।",
            "मुझे मूंगफली से एलर्जी है।",
            "मेरा फ़ोन नंबर 555123 है।",
            "मुझे पियानो बजाना पसंद है।",
            "मेरे कुत्ते का नाम मोती है।",
            "मैं कॉफ़ी नहीं पीता।",
            "मेरा जन्मदिन 3 मई को है।",
            "मैं गर्मियों में इटली जाऊँगा।",
        ],
        {
            "भूल जाओ कि मैं दिल्ली में रहता हूँ": 0,
            "कृपया मेरा फ़ोन नंबर भूल जाओ": 4,
            "मेरी बहन के बारे में भूल जाओ": 1,
            "मेरा जन्मदिन भूल जाओ": 8,
            "मेरी मूंगफली की एलर्जी भूल जाओ": 3,
            "मेरे जूते का साइज़ भूल जाओ": None,
            "मेरी बिल्ली को भूल जाओ": None,
        },
    ),
    "ru": (
        [
            "Я живу в Москве.",
            "Мою сестру зовут Анна.",
            "Я работаю учителем.",
            "У меня аллергия на орехи.",
            "Мой номер телефона 555123.",
            "Я люблю играть на пианино.",
            "Мою собаку зовут Шарик.",
            "Я не пью кофе.",
            "Мой день рождения 3 мая.",
            "Летом я еду в Италию.",
        ],
        {
            "Забудь, что я живу в Москве": 0,
            "Пожалуйста, забудь мой номер телефона": 4,
            "Забудь о моей сестре": 1,
            "Забудь мой день рождения": 8,
            "Не запоминай, что у меня аллергия на орехи": 3,
            "Забудь мой размер обуви": None,
            "Забудь, что у меня есть кошка": None,
        },
    ),
    "ar": (
        [
            "أعيش في القاهرة.",
            "اسم أختي ليلى.",
            "أعمل مدرسا.",
            "لدي حساسية من الفول السوداني.",
            "رقم هاتفي 555123.",
            "أحب العزف على البيانو.",
            "اسم كلبي ريكس.",
            "لا أشرب القهوة.",
            "عيد ميلادي في 3 مايو.",
            "سأسافر إلى إيطاليا في الصيف.",
        ],
        {
            "انس أنني أعيش في القاهرة": 0,
            "من فضلك انس رقم هاتفي": 4,
            "احذف ما تعرفه عن أختي": 1,
            "انس عيد ميلادي": 8,
            "لا تتذكر أن لدي حساسية من الفول السوداني": 3,
            "انس مقاس حذائي": None,
            "انس أن لدي قطة": None,
        },
    ),
}


async def find_wrong(
    resources: Resources, memories: Sequence[str], wishes: Mapping[str, Sequence[int]]
) -> dict[str, set[str]]:
    """The wishes for which other memories than the meant ones are chosen, with what is chosen."""
    whats = {wish: request for wish in wishes if (request := read_forget_request(wish)) is not None}
    vectors = np.array(await resources.embedder.embed([*memories, *(each.what for each in whats.values())]))
    of_memories, of_wishes = vectors[: len(memories)], vectors[len(memories) :]
    wrong: dict[str, set[str]] = {}
    for (wish, request), vector in zip(whats.items(), of_wishes, strict=True):
        similarities = (of_memories @ vector).tolist()
        statements = [
            CandidateStatement(text, similarity, own.tolist())
            for text, similarity, own in zip(memories, similarities, of_memories, strict=True)
        ]
        chosen = {place for group in choose_meant(request, statements) for place in group}
        if chosen != set(wishes[wish]):
            wrong[wish] = {memories[place] for place in chosen}
    return wrong


@pytest.mark.parametrize("wishes", [FITTED, HELD_OUT], ids=["fitted", "held out"])
@pytest.mark.parametrize("size", [10, 50])
async def test_exactly_the_meant_memories_are_chosen(resources: Resources, wishes: WishSet, size: int) -> None:
    asked = {wish: meant for wish, meant in wishes.wishes.items() if all(place < size for place in meant)}
    wrong = await find_wrong(resources, wishes.memories[:size], asked)
    assert len(wrong) <= 0.05 * len(asked), wrong
    assert not {wish: chosen for wish, chosen in wrong.items() if not asked[wish]}, "nothing where nothing matches"


async def test_meant_memories_are_chosen_in_other_languages(resources: Resources) -> None:
    wrong = [
        await find_wrong(
            resources, memories, {wish: () if place is None else (place,) for wish, place in asked.items()}
        )
        for memories, asked in LANGUAGES.values()
    ]
    assert wrong == [{}] * len(LANGUAGES)
