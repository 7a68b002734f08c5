# ruff: noqa: RUF001  (letters of other scripts are intended)
"""The words of a text that carry its content, and whether two of them are forms of one word (pure)."""

import re

WORD = re.compile(r"[^\s!-&(-/:-@\[-`{-~।。，、！？：«»“”„…؟،؛–—]+")
CHINESE = re.compile(r"[\u3400-\u9fff]+")


def words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


STOP_WORDS = words(
    # English
    "a an the i me my mine myself we us our ours you your yours he him his she her hers it its they them their",
    "this that",
    "these those is am are was were be been being do does did done have has had having will would shall should",
    "can could",
    "may might must not no nor and or but if so as at by for from in into of off on out over to up with about",
    "than then",
    "too very just also only own same some any all each every both more most other such what which who whom",
    "whose when",
    "where why how there here i'm i've i'd i'll don't doesn't didn't isn't wasn't can't it's that's user user's name",
    "named called told said noted remember once used much many thing things ever since there's",
    "use uses go goes going went get got",
    # German
    "ich mich mir mein meine meinen meinem meiner meines du dich dir dein deine er sie es wir uns unser der die",
    "das den",
    "dem des ein eine einen einem einer und oder aber nicht kein keine keinen ist bin bist sind war waren sein",
    "haben habe",
    "hat hatte werden wird wurde mit von zu zum zur in im an am auf für über bei aus nach vor um als wie was",
    "wer wo dass",
    "gern gerne auch sehr heißt heisst",
    # Spanish
    "yo mí mi mis me tu tus él ella nos nuestro nuestra el la los las un una unos unas y o pero no es soy eres",
    "son era",
    "fui ser estar estoy está he ha han haber tengo tiene con de del a al en por para sobre que qué quién cómo",
    "dónde lo",
    "se su sus llama llaman muy también como",
    # Turkish
    "ben beni bana benim sen biz bir ve veya ama için ile de da mi mı çok bu şu olarak adı adım var yok",
    # Hindi
    "मैं मुझे मेरा मेरी मेरे हम हमारा तुम आप यह वह है हूँ हैं था थी थे और या पर में से को का की के ने भी नहीं",
    "कि नाम रूप बारे हो हुआ जो करता करती",
    # Russian
    "я меня мне мой моя моё мои мою моего моей моим моих моём ты вы мы нас наш он она оно они это и или но не",
    "ни в во на с",
    "со у о об обо от до для по за из к ко что как где кто когда есть был была было были зовут тоже очень",
    # Arabic
    "أنا أنني أن إلى من في على عن مع لا لدي عندي هو هي هذا هذه التي الذي ما كان كانت اسم اسمي و أو",
)
GENERIC = words("number favourite favorite date day size address code type kind número номер numaram")
RELATED = {
    "job": words("work works working worked employed employer profession occupation"),
    "profession": words("work works working employed job"),
    "salary": words("earn earns earning income paid wage"),
    "address": words("live lives living street"),
    "religion": words("muslim christian catholic protestant orthodox jewish hindu buddhist atheist"),
    "birthday": words("born"),
    "age": words("born old years"),
    "height": words("tall foot feet cm"),
    "diet": words("vegetarian vegan"),
    "bike": words("bicycle"),
    "bicycle": words("bike"),
    "children": words("son daughter kids child"),
    "kids": words("son daughter children child"),
    "parents": words("mother father"),
    "pets": words("dog cat"),
    "arbeit": words("arbeite beruf"),
    "beruf": words("arbeite"),
    "trabajo": words("trabajo"),
    "работе": words("работаю работа"),
}
"""What is said of a thing without its name: "I earn 3100 euros" is about the salary."""
SHORT_ENDINGS = words("s es 's ning ing ned ed n e 'da 'de 'ta 'te у а ы е и ой")
MIN_STEM = 4
MIN_SHARE = 0.55
"""Of the longer word, that two forms of one word have in common at their beginning."""


def content_words(text: str) -> list[str]:
    """Without repetitions, in order. Chinese has no spaces: each pair of characters counts as a word."""
    words: list[str] = []
    for word in WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
        if CHINESE.search(word):
            for run in CHINESE.findall(word):
                bare = run.removeprefix("我的").strip("我的是有在了个一名叫不")
                words += [bare[at : at + 2] for at in range(max(1, len(bare) - 1))] if bare else []
            continue
        if word not in STOP_WORDS and word.strip("'"):
            words.append(word.strip("'"))
    return list(dict.fromkeys(words))


def is_same_word(one: str, other: str) -> bool:
    if one[:2] != other[:2]:  # by far the most pairs
        return False
    short, long = sorted((one, other), key=len)
    if short == long:
        return True
    if len(short) < MIN_STEM:
        return len(short) > 1 and long.startswith(short) and long[len(short) :] in SHORT_ENDINGS
    shared = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return shared >= MIN_STEM and shared >= MIN_SHARE * len(long)


def coverage(wanted: list[str], text: list[str]) -> float:
    """The share of the wanted words that the text has in some form. Words such as "number" count with others only."""
    found = [word for word in wanted if _has(text, word)]
    if not wanted or (any(word not in GENERIC for word in wanted) and all(word in GENERIC for word in found)):
        return 0.0
    return len(found) / len(wanted)


def _has(text: list[str], word: str) -> bool:
    if any(is_same_word(word, other) for other in text):
        return True
    return any(not related.isdisjoint(text) for form, related in RELATED.items() if is_same_word(form, word))
