# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Recognise the wish that a message is not stored: "off the record", "don't remember this" (pure).

The languages are English, German, Spanish, Turkish, Chinese, Hindi, Russian and Arabic. A wish stands at the beginning
or the end of a sentence; who speaks about secrets, or asks about one, does not wish it.
"""

import re

from app.core.text.forget_requests import MAX_REQUEST, read_forget_request

_START = r"(?:^|[.!?;,:—–\n-])\s*"
_END = r"(?=\s*(?:[.!;,:—–\n-]|$))"
_POLITE = (
    r"(?:(?:please|kindly|and|but|so|just|ok|hey|can you|could you|let's|bitte|und|aber|por favor|y|pero|lütfen"
    r"|ama)[,\s]+)*"
)
_THIS = r"(?:this|that|it|any of this|this message|this conversation|what i (?:just )?(?:said|told you|wrote))"
_US = r"(?:between (?:us|you and me|the two of us)|to yourself|off the record|private|confidential)"
_PATTERNS = (
    # English
    rf"{_START}{_POLITE}(?:this (?:is|one is)\s+)?(?:strictly |just )?(?:off the record|between you and me"
    rf"|between us){_END}",
    rf"{_START}{_POLITE}(?:keep|leave) (?:this|that|it|all of this) (?:strictly |just )?{_US}{_END}",
    rf"{_START}{_POLITE}(?:this|that|it)(?: (?:stays|is|remains)|'s) (?:strictly |just )?(?:between us"
    rf"|between you and me|off the record){_END}",
    rf"{_START}{_POLITE}(?:do not|don't|never) (?:remember|save|store|record|memori[sz]e|log|write down"
    rf"|note down) {_THIS}"
    rf"(?: down| anywhere| in your memory| to (?:your )?memory| as a memory)?(?:,? please)?{_END}",
    # German
    rf"{_START}{_POLITE}(?:das ist )?(?:nur )?(?:unter uns(?: gesagt)?|ganz im vertrauen|inoffiziell){_END}",
    rf"{_START}{_POLITE}(?:das|dies|es) (?:bleibt|muss|soll) (?:bitte )?(?:unter uns)(?: bleiben)?{_END}",
    rf"{_START}{_POLITE}(?:behalte?) (?:das|es|dies) (?:bitte )?für dich{_END}",
    rf"{_START}{_POLITE}(?:merke? dir|speicher[en]?|notiere?|behalte?) (?:sie )?(?:das|dies|es"
    rf"|diese nachricht) (?:bitte )?nicht{_END}",
    # Spanish
    rf"{_START}{_POLITE}(?:solo )?(?:entre (?:nosotros|tú y yo|nos)|extraoficialmente){_END}",
    rf"{_START}{_POLITE}que (?:esto |eso )?quede entre nosotros{_END}|{_START}(?:esto"
    rf"|eso) queda entre nosotros{_END}",
    rf"{_START}{_POLITE}no (?:guardes|recuerdes|memorices|registres|almacenes|anotes) (?:esto|eso"
    rf"|este mensaje|nada de esto)"
    rf"(?:,? por favor)?{_END}",
    # Turkish
    rf"{_START}{_POLITE}(?:bu |bunlar )?aramızda (?:kalsın|kalacak){_END}|{_START}{_POLITE}(?:kayıt dışı"
    rf"|aramızda){_END}",
    rf"{_START}{_POLITE}(?:bunu|bu mesajı|bunları) (?:kaydetme|hatırlama|saklama|not etme|aklında tutma"
    rf"|hafızana alma)(?:yin)?{_END}",
    # Chinese
    r"(?:^|[。！？，；,!?\s])(?:请|拜托)?(?:不要|别|勿)(?:再)?(?:记住|记录|保存|存储|记下|储存|存下)"
    r"(?:这|这个|这条|这些|这件事|这句话|这条消息|这条信息|我刚才说的|下来)?(?=[。！，；：,!:\s]|$)",
    r"(?:^|[。！？，；,!?\s])(?:这(?:事|件事)?|此事)?(?:只有)?(?:你知我知|不要外传|仅限你我之间|是我们之间的秘密|就我们俩知道)(?=[。！，；：,!:\s]|$)",
    # Hindi
    r"(?:इसे|यह|ये|इस बात को|यह बात|इस संदेश को) (?:कृपया )?(?:याद मत (?:रखना|रखो|रखें|रखिए)|(?:सेव|स्टोर"
    r"|रिकॉर्ड|दर्ज|सहेज(?:ना)?) मत (?:करना|करो|करें|कीजिए|रखना))",
    r"(?:यह|ये)(?: बात)? (?:सिर्फ |केवल )?(?:हमारे|हम दोनों के) बीच (?:ही )?(?:रहे|रखना|रहनी चाहिए|रहेगी)",
    # Russian
    rf"{_START}(?:пожалуйста,?\s+|но\s+|и\s+)*(?:это\s+|строго\s+|только\s+)*между нами(?: говоря)?{_END}",
    rf"(?:пусть это|это(?: должно)?) остан(?:ется|ется только|ься) между нами"
    rf"|{_START}(?:это )?не (?:для протокола|под запись){_END}",
    rf"{_START}(?:пожалуйста,?\s+)?не (?:запоминай|сохраняй|записывай|запоминайте|сохраняйте"
    rf"|записывайте) (?:это|этого|это сообщение)"
    rf"(?:,? пожалуйста)?{_END}",
    # Arabic
    r"(?:^|[.!؟،؛:]\s*)(?:من فضلك[،\s]*)?(?:هذا |هذا الكلام |الكلام )?(?:سر )?(?:بيني وبينك"
    r"|بيننا)(?: فقط)?(?=\s*(?:[.!،؛:]|$))",
    r"(?:ليبق|فليبق|خل|ابق) (?:هذا|الأمر) بيننا",
    r"(?:^|[.!؟،؛:]\s*)(?:من فضلك[،\s]*)?لا (?:تحفظ|تسجل|تتذكر|تخزن|تدون) (?:هذا|ذلك|هذه الرسالة|ما قلته"
    r"|هذا الكلام)(?: من فضلك)?(?=\s*(?:[.!،؛:]|$))",
)
WISH = re.compile("|".join(f"(?:{each})" for each in _PATTERNS), re.IGNORECASE)


def asks_not_to_store(content: str) -> bool:
    return WISH.search(content[:MAX_REQUEST].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")) is not None


def is_off_the_record(content: str) -> bool:
    """Such a message is answered in incognito. A request to forget has an answer of its own, and is not stored."""
    return asks_not_to_store(content) and read_forget_request(content) is None
