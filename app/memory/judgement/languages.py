# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Statements about oneself in languages other than English: work, residence, name, age and favourites."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.memory.judgement.claim import Claim, fold
from app.memory.judgement.statements import Sentence


@dataclass(frozen=True, slots=True)
class LanguagePattern:
    relation: str
    sentence: re.Pattern[str]
    denial: re.Pattern[str]
    """The words that deny the rest, such as `nicht mehr`."""


def _language(denial: str, **relations: str) -> list[LanguagePattern]:
    denied = re.compile(denial, re.IGNORECASE)
    return [
        LanguagePattern(relation, re.compile(pattern, re.IGNORECASE), denied) for relation, pattern in relations.items()
    ]


VALUE = r"(?P<value>[^,;]{1,60}?)"
OTHER_LANGUAGES: tuple[LanguagePattern, ...] = (
    *_language(
        r"\bnicht mehr\b",
        employer=rf"(?:ich )?arbeite(?: ich)? (?:bei|für) (?:der |dem )?{VALUE}",
        place=rf"(?:ich )?(?:wohne|lebe)(?: ich)? in {VALUE}",
        place_=rf"(?:ich )?bin(?: ich)? (?:nach|in) {VALUE} (?:um)?gezogen",
        name=rf"(?:ich heiße|mein name ist) {VALUE}",
        age=r"(?:ich )?bin(?: ich)? (?P<value>\d{1,2}|1[01]\d)(?: jahre alt)?",
        favorite=rf"(?:meine?|mein) lieblings(?P<topic>\w+) ist {VALUE}",
    ),
    *_language(
        r"\bya no\b",
        employer=rf"(?:yo )?trabajo (?:en|para) {VALUE}",
        place=rf"(?:yo )?vivo en {VALUE}",
        place_=rf"(?:me mudé|me he mudado) a {VALUE}",
        name=rf"(?:me llamo|mi nombre es) {VALUE}",
        age=r"tengo (?P<value>\d{1,2}|1[01]\d) años",
        favorite=rf"mi (?P<topic>\w+) favorit[oa] es (?:el |la )?{VALUE}",
    ),
    *_language(
        r"^artık olmayan$",
        employer=rf"(?:ben )?{VALUE}['’]?(?:da|de|ta|te) çalışıyorum",
        place=rf"(?:ben )?{VALUE}['’](?:da|de|ta|te) (?:yaşıyorum|oturuyorum)",
        place_=rf"(?:ben )?{VALUE}['’](?:ya|ye|a|e) taşındım",
        name=rf"(?:benim )?adım {VALUE}",
        age=r"(?:ben )?(?P<value>\d{1,2}|1[01]\d) yaşındayım",
        favorite=rf"en sevdiğim (?P<topic>\w+) {VALUE}",
    ),
    *_language(
        r"\bбольше не\b",
        employer=rf"(?:я )?работаю (?:в|на) {VALUE}",
        place=rf"(?:я )?живу в {VALUE}",
        place_=rf"(?:я )?переехала? в {VALUE}",
        name=rf"меня зовут {VALUE}",
        age=r"мне (?P<value>\d{1,2}|1[01]\d) (?:лет|года?)",
        favorite=rf"мо[йяё] любим(?:ый|ая|ое) (?P<topic>\w+) *(?:—|–|-|это)? *{VALUE}",
    ),
    *_language(
        "不再|已经不",
        employer=rf"我(?:就职于|在){VALUE}(?:工作|上班)(?:了)?",
        place=rf"我(?:居)?住在{VALUE}(?:了)?",
        place_=rf"我(?:已经)?搬到(?:了)?{VALUE}(?:了)?",
        name=rf"我(?:的名字是|叫)(?![他她它你我了])(?!.*了$){VALUE}",
        age=r"我(?:已经)?(?P<value>\d{1,2}|1[01]\d)岁(?:了)?",
        favorite=rf"我最喜欢的(?P<topic>\w+?)是{VALUE}",
    ),
    *_language(
        "अब नहीं|नहीं",
        employer=rf"मैं {VALUE} में (?:काम|नौकरी) (?:करता|करती) (?:हूँ|हूं)",
        place=rf"मैं {VALUE} में (?:रहता|रहती) (?:हूँ|हूं)",
        name=rf"मेरा नाम {VALUE} है",
        age=r"मेरी उम्र (?P<value>\d{1,2}|1[01]\d) (?:साल|वर्ष) है",
        favorite=rf"मेर[ाी] पसंदीदा (?P<topic>\S+) {VALUE} है",
    ),
    *_language(
        "لم أعد|لا",
        employer=rf"(?:أنا )?أعمل (?:في|لدى) {VALUE}",
        place=rf"(?:أنا )?(?:أعيش|أسكن) في {VALUE}",
        place_=rf"انتقلت إلى {VALUE}",
        name=rf"(?:أنا )?اسمي {VALUE}",
        age=r"عمري (?P<value>\d{1,2}|1[01]\d) (?:سنة|عاما|عامًا)",
        favorite=rf"(?P<topic>\S+) المفضل(?:ة)? (?:لدي )?(?:هو|هي) {VALUE}",
    ),
)

NAMED = frozenset({"employer", "place", "place_", "name"})
PARTICLES = frozenset({"am", "an", "der", "de", "del", "la", "las", "los", "el", "y", "und", "von", "van", "ibn"})

HINT = re.compile(
    "arbeite|wohne|lebe|gezogen|heiße|name ist|jahre|bin|lieblings|trabajo|vivo|mud|llamo|nombre|años|favorit[oa]|"
    "çalış|yaş|oturuyorum|taşındım|adım|sevdiğim|работаю|живу|переехал|зовут|мне|любим|我|मैं|मेर|أعمل|أعيش|أسكن|انتقلت|اسمي|"
    "عمري|المفضل",
    re.IGNORECASE,
)
"""Without one of these, no pattern matches."""


def is_all_names(value: str) -> bool:
    """In scripts with capital letters. `In einer WG` and `en paz` name no place."""
    return all(not word[0].islower() or word in PARTICLES for word in value.split())


def read_other_languages(sentence: Sentence) -> Iterator[Claim]:
    if not HINT.search(sentence.text):
        return
    for pattern in OTHER_LANGUAGES:
        text, denials = pattern.denial.subn(" ", sentence.text)
        if match := pattern.sentence.fullmatch(" ".join(text.split())):
            topic = match.groupdict().get("topic")
            relation = f"{pattern.relation} {topic.casefold()}" if topic else pattern.relation
            yield Claim(
                sentence.speaker,
                relation.rstrip("_"),
                fold(match["value"]),
                is_proper=is_all_names(match["value"]),
                is_strict=relation in NAMED,
                only_change=relation in ("employer", "place"),
                changed=sentence.changed or relation == "place_",
                denied=denials > 0,
            )
