# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Questions for all that was said in a time: "What did I say today?", "last week", in eight languages (pure).

Nothing but the time tells which memories are meant, so no search by meaning or words finds them.
"""

import datetime as dt
import re
from itertools import chain

from app.core.text.content_words import WORD
from app.core.text.folding import fold
from app.core.text.times.read_times import MASK, NamedTimes, mask_times

MAX_CHARACTERS = 120
MAX_FURTHER_WORDS = 6
"""Words for a time: "on the 7th of May, 2025"."""
MAX_WORDS_ALONE = 3
"""Of a query that is a time and nothing else: "two weeks ago"."""
CHINESE = re.compile("[\u3400-\u9fff]")
SAYING = (
    # English, German, Spanish, Turkish
    "say said saying tell told telling talk talked talking mention mentioned discuss discussed write wrote written",
    "gesagt erzählt erwähnt geschrieben besprochen gesprochen berichtet sagte erzählte",
    "dije dijimos dicho conté contado hablé hablamos hablado mencioné mencionado comenté comentado escribí",
    "söyledim söylemiştim söyledik dedim demiştim anlattım konuştuk konuştum bahsettim bahsettik yazdım",
    # Hindi, Russian, Arabic
    "कहा बताया बोला बोली लिखा बातें बात",
    "говорил говорила говорили сказал сказала рассказал рассказала рассказывал рассказывала упоминал упоминала",
    "упомянул упомянула обсуждали обсуждал обсуждала писал писала написал написала",
    "قلت قلته قلنا أخبرتك أخبرت ذكرت ذكرته تحدثت تحدثنا حكيت كتبت كتبته ناقشنا",
)
BESIDE = (
    "what which did do have has i we you to with about all everything things thing me us that was were been anything",
    "show list so far on in the please",
    "was worüber wovon welche habe hab haben hatte ich wir dir euch du mit über alles denn alle dinge so bisher am im",
    "qué que cuáles he hemos yo nosotros te les de sobre lo todo cosas contigo fue a en el",
    "ne neler neyi nelerden ben biz sana size seninle hakkında şey şeyler her şeyi hangi",
    "मैंने हमने क्या तुम्हें तुमको आपको तुमसे आपसे किस बारे में की था थी थे हुई सब कुछ को",
    "что о чем я мы тебе вам с тобой вами все всё про на в",
    "ماذا ما ماهو الذي التي لك معك عن عما أنا نحن كل شيء في",
)
CHINESE_BESIDE = "我们你您跟和对与向都什么哪些啥事情到过了的呢吗有是把"
CHINESE_SAYING = re.compile("[说說聊提讲講谈談写]|告诉|告訴")


def _folded(lines: tuple[str, ...]) -> frozenset[str]:
    return frozenset(chain.from_iterable(WORD.findall(fold(line)) for line in lines))


SAYING_WORDS = _folded(SAYING)
WORDS = SAYING_WORDS | _folded(BESIDE)


def read_told_times(question: str, now: dt.datetime, *, in_conversation: bool = False) -> NamedTimes | None:
    """The time, if the question tells nothing else. In a conversation, a time alone may be an answer: it must ask."""
    if len(question) > MAX_CHARACTERS:
        return None
    folded = fold(question)
    words = _words(folded)
    asks = any(word in SAYING_WORDS for word in words) or CHINESE_SAYING.search(folded) is not None
    if not asks and (in_conversation or len(words) > MAX_WORDS_ALONE):
        return None
    if sum(word not in WORDS for word in words) > MAX_FURTHER_WORDS:
        return None
    times, rest = mask_times(question, now)
    return times if times and _says_nothing_else(rest) else None


def _says_nothing_else(rest: str) -> bool:
    return all(word in WORDS or _is_chinese_frame(word) for word in _words(rest.replace(MASK, " ")))


def _words(text: str) -> list[str]:
    return [bare for word in WORD.findall(text) if (bare := word.strip("¿¡'"))]


def _is_chinese_frame(word: str) -> bool:
    without = CHINESE_SAYING.sub("", word)
    return CHINESE.search(word) is not None and not without.strip(CHINESE_BESIDE)
