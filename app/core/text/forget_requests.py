# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Recognise a request to forget, and what it names (pure).

The languages are English, German, Spanish, French, Turkish, Chinese, Hindi, Russian and Arabic. Only a plain request
at the beginning of a message counts: mistaking another sentence for a request costs the user an answer, while missing a
request only costs asking again.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.core.text.content_words import words


class Extent(StrEnum):
    """How much a request names."""

    STATEMENT = "statement"
    """A thing, or a statement about it."""
    TOPIC = "topic"
    """Everything about a thing."""
    TODAY = "today"
    """Everything of today."""
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    what: str
    """In the user's words."""
    extent: Extent = Extent.STATEMENT


# ---------------------------------------------------------------- English, German, Spanish and French

POLITE = r"(?:(?:please|kindly|can you|could you|would you|will you|i want you to|i'd like you to|i would like you to"
POLITE += r"|bitte|kannst du|könntest du|por favor|s'il te plaît|now|just|also)[,\s]+)*"
THINGS = r"(?:memory|memories|fact|note|erinnerung|recuerdo)(?:s|en)?"
# "Forget" is enough by itself. "Delete" and similar verbs need a word for memory: people also delete files and rows.
FORGET = r"(?:forget|stop remembering|(?:don't|do not) (?:remember|memori[sz]e)|vergiss|vergessen sie|olvida|olvide"
FORGET += r"|oublie|merk dir nicht|no (?:recuerdes|memorices))(?![\w'-])"
ERASE = r"(?:erase|delete|remove|lösche|borra|elimina)"
ARTICLES = r"(?:(?:the|your|any|all|every|that|this|die|deine|alle|el|los|tus|todos)\s+)*"
REMEMBERED = r"(?:what|that|everything|anything|all|was|alles,? was|lo|todo lo)\s+(?:that\s+|que\s+)?"
REMEMBERED += r"(?:you\s+(?:know|remember|have|stored)|i(?:'ve| have)?\s+(?:just\s+)?(?:said|told\s+you)"
REMEMBERED += r"|sabes|du\s+weißt|recuerdas|te dije)"
LINK = r"(?:[,:\s]+(?:this(?=\s*:)|that|about|of|dass|über|von|an|que|sobre|de|ce que|to)\b)*"
WISH = re.compile(
    rf"^\s*{POLITE}(?:{FORGET}(?:[,\s]+(?:{REMEMBERED}|(?:the\s+)?{THINGS}))?"
    rf"|{ERASE}\s+{ARTICLES}{THINGS}|{ERASE}\s+{REMEMBERED}){LINK}[,:\s]+(?P<what>[^.!?\n]+)",
    re.IGNORECASE,
)
FROM_MEMORY = re.compile(
    rf"^\s*{POLITE}(?:erase|delete|remove)\s+(?P<what>[^.!?\n]+?)\s+from\s+(?:your\s+)?{THINGS}\b", re.IGNORECASE
)
NO_WISH = re.compile(
    r"^(?:not|nicht|no|pas|to|zu|it|this|that|es|das|ça|eso|lo|это|этом|об этом|吧|它|这个|bunu|onu|هذا|ذلك|इसे"
    r"|यह|उसे"
    r"|(?:about\s+)?(?:it|this|that)(?:\s+(?:all|for now))?"
    r"|(?:all\s+)?(?:the|your|any|my)?\s*(?:previous|prior|above|earlier|system)?\s*"
    r"(?:instructions?|rules?|prompts?|question|request|conversation so far)\b.*"
    r"|(?:not|nicht|no|pas|to|zu)\b.*"
    r"|.*\bfor (?:a|one) (?:moment|second|minute|bit|while)\b.*|.*\bfor now)$",
    re.IGNORECASE,
)

# ---------------------------------------------------------------- the languages whose requests look otherwise

# Turkish and Hindi end with the verb.
TURKISH = re.compile(
    r"^\s*(?:lütfen\s+)?(?P<what>[^.!?\n]+?)\s+(?:unut|unutun|unutur musun|hatırlama|aklında tutma)[.!\s]*$", re.I
)
TURKISH_ERASE = re.compile(
    r"^\s*(?:lütfen\s+)?(?P<what>[^.!?\n]+?)\s+(?:hafızandan|belleğinden)\s+(?:sil|çıkar)[.!\s]*$"
    r"|^\s*(?:lütfen\s+)?(?P<about>[^.!?\n]+?)\s+(?:hakkındaki|ile ilgili)\s+(?:her şeyi|anıları"
    r"|bilgileri)\s+(?:unut|sil)[.!\s]*$",
    re.IGNORECASE,
)
CHINESE = re.compile(
    r"^\s*(?:请|請|麻烦)?(?:你)?(?:忘记|忘掉|忘了|别记住|不要记住|不要记|别再记得)(?:关于"
    r"|关于我的)?[：:，,\s]*(?P<what>[^。！？!?\n]+)"
    r"|^\s*(?:请|請)?(?:删除|清除|抹去)(?:你)?(?:关于|有关)(?P<about>[^。！？!?\n]+?)的(?:所有)?(?:记忆|信息|内容)"
)
HINDI = re.compile(
    r"^\s*(?:कृपया\s+)?(?:भूल (?:जाओ|जाइए|जाएँ|जाना)|याद मत (?:रखो|रखना|रखें))[,\s]+(?:कि\s+)?(?P<what>[^।.!?\n]+)"
    r"|^\s*(?:कृपया\s+)?(?P<about>[^।.!?\n]+?)\s+(?:को\s+)?(?:भूल (?:जाओ|जाइए|जाएँ|जाना)|याद मत (?:रखो|रखना|रखें)"
    r"|याददाश्त से (?:हटाओ|मिटाओ))[।.!\s]*$"
)
RUSSIAN = re.compile(
    r"^\s*(?:пожалуйста,?\s+)?(?:забудь(?:те)?|не (?:запоминай|помни)(?:те)?)(?!\w)(?:,?\s+(?:пожалуйста,?|что"
    r"|про|о|об|обо)(?!\w))*"
    r"[,:\s]+(?P<what>[^.!?\n]+)"
    r"|^\s*(?:пожалуйста,?\s+)?(?:удали|сотри|удалите|сотрите)\s+(?:из памяти|воспоминани[ея] (?:о|об)|(?:всё"
    r"|все), что (?:ты )?(?:знаешь|помнишь) (?:о|об|про))\s+(?P<about>[^.!?\n]+)",
    re.IGNORECASE,
)
ARABIC = re.compile(
    r"^\s*(?:من فضلك|رجاء|رجاءً)?[،,\s]*(?:انس|انسى|إنس|انسَ|لا تتذكر|لا تحفظ)\s+(?:أن\s+"
    r"|أنني\s+)?(?P<what>[^.!؟?\n]+)"
    r"|^\s*(?:من فضلك|رجاء|رجاءً)?[،,\s]*(?:احذف|امسح)\s+(?:ما تعرفه عن|كل ما تعرفه عن|ذكرياتك عن"
    r"|من ذاكرتك)\s+(?P<about>[^.!؟?\n]+)"
)
PATTERNS = (FROM_MEMORY, WISH, RUSSIAN, CHINESE, HINDI, ARABIC, TURKISH_ERASE, TURKISH)

# ---------------------------------------------------------------- everything

ALL_MEMORIES = re.compile(
    rf"^\s*{POLITE}{ERASE}\s+(?:all|every|alle|todos)\s+(?:of\s+)?(?:(?:the|your|my|deine|meine|los|tus|mis)\s+)?"
    rf"(?:{THINGS}|erinnerungen|recuerdos)(?:\s+(?:of|about|you have of|you have about|über|an|de|sobre)\s+(?:me"
    rf"|mich|mí))?[.!\s]*$",
    re.IGNORECASE,
)
TOKEN = re.compile(r"[^\s!-/:-@\[-`{-~।。，、！？：«»“”…؟،؛]+")
ALL = words(
    "everything anything all alles todo tout всё все 一切 सब كل her şeyi herşeyi şey",
)
TODAY = words(
    "today heute hoy aujourd'hui 今天 сегодня आज اليوم bugün bugünkü",
)
ME = words(
    "me mich mir mí mi moi 我 我的 меня мне обо मेरे बारे عني hakkımda benim hakkımdaki",
)
FILLER = words(
    "that what you know remember have stored told i we said talked discussed about of from",
    "on in the my memories conversation was du weißt gesagt habe ich über von an lo que",
    "sabes recuerdas te dije de sobre que sais sur что ты знаешь помнишь я сказал сказала",
    "о об про за 你 知道 关于 的 कुछ में के की बातें जो तुम जानते हो شيء عن ما تعرفه biliyorsan",
    "bildiğin hakkında s",
)
CHINESE_ALL = re.compile(r"^(?:你)?(?:知道的)?(?:关于)?(?:我的?)?(?:一切|所有(?:的)?(?:事情|内容|记忆|信息)?|全部)$")
CHINESE_TOPIC = re.compile(r"的?(?:一切|所有(?:事情|内容|信息)?|全部)$")
MARKS_OF_ALL = re.compile(
    r"^(?:everything|anything|all|alles|todo|tout|всё|все|كل شيء)(?:\s+(?:about|regarding|on|of|über|sobre|de"
    r"|обо?|про|عن))?\s+"
    r"|\s+(?:के बारे में )?सब(?: कुछ)?$|\s+hakkındaki her ?şeyi$",
    re.IGNORECASE,
)
EXCEPTION = re.compile(
    r"\b(?:except(?: for|ing)?|apart from|other than|excluding|aside from|außer|ausser|bis auf|excepto|salvo|sauf"
    r"|excepté|hormis|кроме|hariç|dışında)\b|^(?:but|else|if|when|menos|andere|anderes|falls|wenn|si|если)\b"
    r"|除了|除外|إلا|ما عدا|सिवा|छोड़कर|के अलावा",
    re.IGNORECASE,
)
"""`Everything except my name`: what the request names is to be kept, so it must not be offered for deletion."""
MAX_REQUEST = 2000
"""Characters of a message that are read. Patterns of longer ones would cost too much."""


def read_forget_request(content: str) -> ForgetRequest | None:
    """None if the message is not such a request."""
    plain = content[:MAX_REQUEST].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if ALL_MEMORIES.match(plain):
        return ForgetRequest("", Extent.EVERYTHING)
    match = next((found for pattern in PATTERNS if (found := pattern.match(plain))), None)
    if match is None:
        return None
    groups = match.groupdict()
    what = (groups["what"] or groups.get("about") or "").strip(" ,;:\t")
    if not what or NO_WISH.match(what):
        return None
    shorter = CHINESE_TOPIC.sub("", MARKS_OF_ALL.sub("", what)).strip() or what
    if EXCEPTION.search(shorter):
        return None
    return ForgetRequest(shorter, _extent(match.group(), what))


def _extent(request: str, what: str) -> Extent:
    words = set(TOKEN.findall(what.lower()))
    if words & TODAY and words <= TODAY | ALL | FILLER:
        return Extent.TODAY
    if CHINESE_ALL.match(what) or (words <= ALL | ME | FILLER and words & (ALL | ME)):
        return Extent.EVERYTHING
    if set(TOKEN.findall(request.lower())) & ALL or CHINESE_TOPIC.search(what):
        return Extent.TOPIC
    return Extent.STATEMENT
