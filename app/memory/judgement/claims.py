"""What a sentence claims: a subject, a relation that has one value at a time, and the value.

A sentence that may be understood in another way makes no claim: a plan, a wish, the past, or one thing among several.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from app.memory.judgement.claim import CLAUSE, NOT_A_VALUE, SUBJECT, Claim, fold, fold_subject, is_name
from app.memory.judgement.frames import read_frames
from app.memory.judgement.languages import read_other_languages
from app.memory.judgement.statements import Sentence
from app.memory.judgement.vocabulary import (
    ADJECTIVES,
    CONTACT_NOUNS,
    DISLIKES,
    FUNCTIONAL_NOUNS,
    LIKES,
    MANY_NOUNS,
    NOT_PLACES,
    PERSON_NOUNS,
    PLAIN_NOUNS,
    STATUS_OF,
    either,
)

MAX_VALUE_WORDS = 10
HEDGE = re.compile(
    r"\b(?:if|might|maybe|perhaps|would|could|should|wants?|wish(?:es)?|plan(?:s|ning|ned)?|hop(?:e|es|ing)|going to|"
    r"will|used to|was|were|had|did|thinking|dream(?:s|ing)?|consider(?:s|ing)?|also|too|as well|another|second|"
    r"sometimes|occasionally|often|usually|one of|part-time|temporarily|weekends?|summers?|winters?|both|either|"
    r"besides|in addition|almost|nearly|previously|formerly|once|like to|love to|try(?:ing)?|pretend(?:s|ing)?|said|"
    r"says|think|looking|until|till|during|whenever|every|while|next|not|neither|nor|and|or|half|part of|people|"
    r"friends|(?:week|mon|tues|wednes|thurs|fri|satur|sun)days|mornings|evenings|afternoons|nights|volunteer(?:s|ing)?|"
    r"(?:in|by|with) (?:my|our|his|her|their)|in (?:19|20)\d\d)\b",
    re.IGNORECASE,
)
TAIL = re.compile(
    r",? (?:since|for (?:the (?:last|past)|about|over|\d+|a|two|three|four|five|many)|as an?)\b.*$", re.IGNORECASE
)
CHANGED_PASSIVE = re.compile(
    r"\b(?:was|were|got)(?= (?:moved|rescheduled|postponed|shifted|brought forward|changed) )", re.IGNORECASE
)
TIME = r"(?:\d{1,2}(?:[:.]\d\d)? ?(?:am|pm|o'clock)?|noon|midnight)"
DAY = (
    r"(?:(?:next |this |coming )?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b.*|(?:the )?\d{1,2}(?:st|nd|rd|th)\b.*|"
    r"tomorrow|(?:jan|febr)uary\b.*|(?:march|april|may|june|july|august)\b.*|(?:septem|octo|novem|decem)ber\b.*)"
)
NO_PLACE = either(" ".join(NOT_PLACES))
IS, HAVE = r"(?:am|is|are|'s)", r"(?:(?:have|has) )?"
VALUE = r"(?P<value>.+)"
AGE = r"(?:\d{1,2}|1[01]\d)"
PLACE = r"(?P<value>(?!the [a-z]+ of ).+)"
MOVED = (
    rf"(?:{IS} |has been |have been )?{HAVE}(?:moved|rescheduled|postponed|shifted|brought forward|changed)"
    r" (?:from .+? )?to"
)
PATTERNS = (
    ("employer", rf"{SUBJECT} (?:{IS} )?(?:work|works|working) (?:at|for) {VALUE}"),
    ("employer", rf"{SUBJECT} {IS} employed (?:at|by) {VALUE}"),
    ("place", rf"{SUBJECT} (?:{IS} )?(?:live|lives|living|reside|resides|based|located) in {PLACE}"),
    ("school", rf"{SUBJECT} (?:{IS} )?(?:study|studies|studying) at {VALUE}"),
    ("name", rf"(?P<subject>my) name {IS} {VALUE}"),
    ("name", rf"{SUBJECT} {IS} (?:called|named) {VALUE}"),
    ("age", rf"{SUBJECT} {IS} (?P<value>{AGE})(?: years? old| y/?o)?"),
    ("spouse", rf"{SUBJECT} {IS} (?:married|engaged) to {VALUE}"),
    ("occupation", rf"{SUBJECT} (?:work|works) as {VALUE}"),
    ("cost", rf"{SUBJECT} costs? (?P<value>\D{{0,3}}\d.*)"),
    ("weight", rf"{SUBJECT} weighs? (?P<value>\d.*)"),
    ("day", rf"{SUBJECT} (?:{IS}|takes place) (?:scheduled |set |planned )?(?:for|on) (?P<value>{DAY})"),
    ("time", rf"{SUBJECT} (?:{IS}|takes place) (?:scheduled |set |planned )?(?:for|at) (?P<value>{TIME})"),
)
HABITS = (
    ("car", rf"{SUBJECT} drives? {VALUE}"),
    ("getting up", rf"{SUBJECT} (?:wakes?|gets?) up at {VALUE}"),
    ("preference", rf"{SUBJECT} prefers? (?P<value>.+ (?P<topic>[\w-]+))"),
)
CHANGES = (
    (
        "employer",
        rf"{SUBJECT} {HAVE}(?:started|got|began|taken|took) (?:working|work|a (?:new )?job|(?:my|a|his|her) new"
        rf" (?:job|position)) (?:at|with|for) {VALUE}",
    ),
    ("employer", rf"{SUBJECT} {HAVE}(?:changed|switched) jobs? (?:to|and work at) {VALUE}"),
    (
        "place",
        rf"{SUBJECT} {HAVE}(?:moved|relocated) (?:from .+? )?to (?P<value>(?!(?:{NO_PLACE})\b)(?-i:[^\Wa-z]).*)",
    ),
    ("form of address", r"(?:please )?call (?P<subject>me) (?P<value>(?-i:[A-Z])\S*(?: (?-i:[A-Z])\S*)?)"),
    ("age", rf"{SUBJECT} {HAVE}turned (?P<value>{AGE})(?: years? old)?"),
    ("spouse", rf"{SUBJECT} {HAVE}(?:got )?married (?:to )?(?P<value>(?-i:[A-Z]).*)"),
    ("day", rf"{SUBJECT} {MOVED} (?P<value>{DAY})"),
    ("time", rf"{SUBJECT} {MOVED} (?P<value>{TIME})"),
)
DATES = frozenset({"day", "time"})
"""There may be another flight, meeting or lesson on another day."""
PEOPLE = tuple(
    (relation, re.compile(pattern, re.IGNORECASE), changes, habits)
    for patterns, changes, habits in ((PATTERNS, False, False), (CHANGES, True, False), (HABITS, False, True))
    for relation, pattern in patterns
)
NO_JOBS = "subscriber user member volunteer guest student fan customer player donor supporter beginner"
JOINED = re.compile(
    rf"{SUBJECT} {HAVE}joined (?P<value>(?-i:[A-Z]).+?) as an? (?!.*\b(?:{either(NO_JOBS)})\b).+", re.IGNORECASE
)
HINT = re.compile(
    r"study|studies|driv|prefer|wak|get|work|employ|job|liv|resid|based|locat|moved|relocat|name|call|turned|marri|engag|"
    r"cost|weigh|\d| on | at |sched|post",
    re.IGNORECASE,
)
"""Without one of these, no pattern matches."""
OWN_NOUN = re.compile(
    rf"(?P<owner>my|our|the|(?:[^\W\d_][\w'.-]*(?: [\w'.-]+){{0,5}}?)'s?)"
    r" (?P<fresh>new |current |present )?(?P<noun>(?:[\w-]+ ){0,3}?[\w-]+)"
    rf" (?P<verb>{IS}|has changed to|have changed to|changed to|has been"
    rf" (?:changed|moved|updated|set) to|has moved to|became|has become) {VALUE}",
    re.IGNORECASE,
)
CHANGED_NOUN = re.compile(
    rf"{SUBJECT} {HAVE}(?:changed|updated|switched|renamed) (?:my|his|her|our|the|its) "
    rf"(?P<noun>(?:[\w-]+ ){{0,2}}?[\w-]+) (?:from .+? )?to {VALUE}",
    re.IGNORECASE,
)
STATUS = re.compile(
    rf"{SUBJECT} (?:{IS}|got|became) (?P<value>in a relationship|{either(' '.join(STATUS_OF))})(?P<whom> to .+)?",
    re.IGNORECASE,
)
ATTITUDE = re.compile(
    rf"{SUBJECT} (?P<denied>(?:do|does) not )?(?P<verb>{either(' '.join(LIKES | DISLIKES))}) {VALUE}", re.IGNORECASE
)
PREPOSITIONS = frozenset({"of", "in", "at", "for", "to", "from", "by", "on", "with", "that", "where", "which", "who"})
DESCRIPTION = re.compile(rf"\d|(?:{either(' '.join(ADJECTIVES))})\b|.*'s ", re.IGNORECASE)
"""`My wife is French`, `my boss is 40`, `my doctor is Ann's sister`: no name."""
FAVORITE = re.compile(r"^(?:all-time )?favou?rite ", re.IGNORECASE)
RELATION_OF_NOUN = {
    "wife": "spouse",
    "husband": "spouse",
    "spouse": "spouse",
    "employer": "employer",
    "workplace": "employer",
}


def read_claims(sentence: Sentence) -> dict[tuple[str, str], Claim]:
    """By subject and relation. A sentence may be read in several ways, which name the same fact."""
    found: dict[tuple[str, str], Claim] = {}
    for claim in (*read_frames(sentence), *_read_people(sentence), *read_other_languages(sentence)):
        if claim.value and len(claim.value.split()) <= MAX_VALUE_WORDS:
            found.setdefault(claim.key, claim)
    return found


def _read_people(sentence: Sentence) -> Iterator[Claim]:
    text = TAIL.sub("", CHANGED_PASSIVE.sub("has been", sentence.text))
    if CLAUSE.search(text):
        return
    if match := ATTITUDE.fullmatch(text):
        yield _attitude(sentence, match)
    if HEDGE.search(text):
        return
    for relation, pattern, changes, habits in PEOPLE if HINT.search(text) else ():
        if match := pattern.fullmatch(text):
            topic = match.groupdict().get("topic")
            claim = _claim(sentence, match["subject"], f"{relation} {topic or ''}", match["value"], changed=changes)
            yield replace(
                claim, needs_change=True, only_change=habits or relation in DATES or _is_one_of_many(claim.subject)
            )
    if match := JOINED.fullmatch(sentence.text):
        yield _claim(sentence, match["subject"], "employer", match["value"], changed=True)
    if match := STATUS.fullmatch(text):
        value = match["value"].casefold()
        yield _claim(
            sentence, match["subject"], f"status {STATUS_OF.get(value, 'marriage')}", f"{value} {match['whom'] or ''}"
        )
    yield from _own_nouns(sentence, text)


def _is_one_of_many(subject: str) -> bool:
    """`My brother`, `the hotel`: the next statement may be about another one."""
    return subject.split()[-1] in MANY_NOUNS or (subject.startswith("the ") and len(subject.split()) == 2)


def _attitude(sentence: Sentence, match: re.Match[str]) -> Claim:
    likes = (match["verb"].casefold() in LIKES) != bool(match["denied"])
    return _claim(sentence, match["subject"], f"attitude to {fold(match['value'])}", "yes" if likes else "no")


def _own_nouns(sentence: Sentence, text: str) -> Iterator[Claim]:
    if match := CHANGED_NOUN.fullmatch(text):
        yield from _own_noun(sentence, match["subject"], match["noun"], match["value"], changed=True)
    if match := OWN_NOUN.fullmatch(text):
        changed = bool(match["fresh"]) or match["verb"].casefold() not in ("is", "are", "am", "'s")
        owner = re.sub(r"'s?$", "", match["owner"])
        yield from _own_noun(sentence, owner, match["noun"], match["value"], changed=changed)


def _own_noun(sentence: Sentence, owner: str, noun: str, value: str, *, changed: bool) -> Iterator[Claim]:
    is_favorite = FAVORITE.match(noun) is not None
    head = noun.split()[-1].casefold()
    if (head in MANY_NOUNS and not is_favorite) or not PREPOSITIONS.isdisjoint(noun.casefold().split()):
        return
    value = re.sub(r"^(?:called|named|at|with) ", "", value, flags=re.IGNORECASE)
    if DESCRIPTION.match(value) and head in PERSON_NOUNS:
        return
    if NOT_A_VALUE.match(value) and not re.match(r"an? |the |in ", value):
        return
    name = FAVORITE.sub("favorite ", noun.casefold()).replace("colour", "color")
    claim = _claim(sentence, owner, RELATION_OF_NOUN.get(name, name), value, changed=changed)
    is_known = is_favorite or head in FUNCTIONAL_NOUNS
    yield replace(
        claim,
        needs_change=not is_favorite and head not in PLAIN_NOUNS,
        is_strict=not is_favorite and (not is_known or head in CONTACT_NOUNS),
        only_change=not is_known or owner.casefold() == "the" or _is_one_of_many(claim.subject),
    )


def _claim(sentence: Sentence, subject: str, relation: str, value: str, *, changed: bool = False) -> Claim:
    return Claim(
        fold_subject(subject, sentence.speaker),
        relation.strip(),
        fold(value),
        is_proper=is_name(value),
        changed=changed or sentence.changed,
    )
