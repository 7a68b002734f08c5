"""What a sentence claims: a subject, a relation that has one value at a time, and the value.

A sentence that may be understood in another way makes no claim: a plan, a wish, the past, or one thing among several.
"""

import re
from collections.abc import Iterator

from app.memory.judgement.claim import CLAUSE, NOT_A_VALUE, PROPER, SUBJECT, Claim, fold, fold_subject
from app.memory.judgement.frames import read_frames
from app.memory.judgement.languages import read_other_languages
from app.memory.judgement.statements import Sentence
from app.memory.judgement.vocabulary import DISLIKES, FUNCTIONAL_NOUNS, LIKES, PLAIN_NOUNS, STATUS_OF, either

MAX_VALUE_WORDS = 10
HEDGE = re.compile(
    r"\b(?:if|might|maybe|perhaps|would|could|should|wants?|wish(?:es)?|plan(?:s|ning|ned)?|hop(?:e|es|ing)|going to|"
    r"will|used to|was|were|had|did|thinking|dream(?:s|ing)?|consider(?:s|ing)?|also|too|as well|another|second|"
    r"sometimes|occasionally|often|usually|one of|part-time|temporarily|weekends?|summers?|winters?|both|either|"
    r"besides|in addition|almost|nearly|previously|formerly|once|like to|love to|try(?:ing)?|pretend(?:s|ing)?|said|"
    r"says|think|looking|until|till|during|whenever|every|while|next|not)\b",
    re.IGNORECASE,
)
TAIL = re.compile(
    r",? (?:since|for (?:the (?:last|past)|about|over|\d+|a|two|three|four|five|many)|as an?)\b.*$", re.IGNORECASE
)
CHANGED_PASSIVE = re.compile(
    r"\b(?:was|were|got)(?= (?:moved|rescheduled|postponed|shifted|brought forward|changed) )", re.IGNORECASE
)
DATE = (
    r"(?:(?:next |this |coming )?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b.*|"
    r"\d{1,2}(?:[:.]\d\d)? ?(?:am|pm|o'clock)?|(?:the )?\d{1,2}(?:st|nd|rd|th)\b.*|noon|midnight|tomorrow|today|"
    r"(?:jan|febr)uary\b.*|(?:march|april|may|june|july|august)\b.*|(?:septem|octo|novem|decem)ber\b.*)"
)
IS, HAVE = r"(?:am|is|are|'s)", r"(?:(?:have|has) )?"
VALUE = r"(?P<value>.+)"
PATTERNS = (
    ("employer", rf"{SUBJECT} (?:{IS} )?(?:work|works|working) (?:at|for) {VALUE}"),
    ("employer", rf"{SUBJECT} {IS} employed (?:at|by) {VALUE}"),
    ("place", rf"{SUBJECT} (?:{IS} )?(?:live|lives|living|reside|resides|based) in {VALUE}"),
    ("name", rf"(?P<subject>my) name {IS} {VALUE}"),
    ("name", rf"{SUBJECT} {IS} (?:called|named) {VALUE}"),
    ("age", rf"{SUBJECT} {IS} (?P<value>\d{{1,3}})(?: years? old| y/?o)?"),
    ("spouse", rf"{SUBJECT} {IS} (?:married|engaged) to {VALUE}"),
    ("occupation", rf"{SUBJECT} (?:work|works) as {VALUE}"),
    ("cost", rf"{SUBJECT} costs? (?P<value>\D{{0,3}}\d.*)"),
    ("weight", rf"{SUBJECT} weighs? (?P<value>\d.*)"),
    ("schedule", rf"{SUBJECT} (?:{IS}|takes place) (?:scheduled |set |planned )?(?:for|on|at) (?P<value>{DATE})"),
)
CHANGES = (
    (
        "employer",
        rf"{SUBJECT} {HAVE}(?:started|got|began|taken|took) (?:working|work|a (?:new )?job|(?:my|a|his|her) new"
        rf" (?:job|position)) (?:at|with|for) {VALUE}",
    ),
    ("employer", rf"{SUBJECT} {HAVE}(?:changed|switched) jobs? (?:to|and work at) {VALUE}"),
    ("place", rf"{SUBJECT} {HAVE}(?:moved|relocated) (?:from .+? )?to {VALUE}"),
    ("name", r"(?:please )?call (?P<subject>me) (?P<value>(?-i:[A-Z])\S*(?: (?-i:[A-Z])\S*)?)"),
    ("age", rf"{SUBJECT} {HAVE}turned (?P<value>\d{{1,3}})(?: years? old)?"),
    ("spouse", rf"{SUBJECT} {HAVE}(?:got )?married (?:to )?(?P<value>(?-i:[A-Z]).*)"),
    (
        "schedule",
        rf"{SUBJECT} (?:{IS} |has been |have been )?{HAVE}(?:moved|rescheduled|postponed|shifted|brought forward|"
        rf"changed) (?:from .+? )?to (?P<value>{DATE})",
    ),
)
PEOPLE = tuple(
    (relation, re.compile(pattern, re.IGNORECASE), changes)
    for patterns, changes in ((PATTERNS, False), (CHANGES, True))
    for relation, pattern in patterns
)
HINT = re.compile(
    r"work|employ|job|liv|resid|based|moved|relocat|name|call|turned|marri|engag|cost|weigh|\d| on | at |sched|post",
    re.I,
)
"""Without one of these, no pattern matches."""
OWN_NOUN = re.compile(
    rf"(?P<owner>my|our|(?:[^\W\d_][\w'.-]*(?: [\w'.-]+){{0,5}}?)'s?)"
    r" (?P<fresh>new |current |present )?(?P<noun>(?:[\w-]+ ){0,3}?[\w-]+)"
    rf" (?P<verb>{IS}|has changed to|have changed to|changed to|became|has become) {VALUE}",
    re.IGNORECASE,
)
CHANGED_NOUN = re.compile(
    rf"{SUBJECT} {HAVE}(?:changed|updated|switched|renamed) (?:my|his|her|our|the|its) "
    rf"(?P<noun>(?:[\w-]+ ){{0,2}}?[\w-]+) (?:from .+? )?to {VALUE}",
    re.IGNORECASE,
)
STATUS = re.compile(
    rf"{SUBJECT} (?:{IS}|got|became) (?P<value>{either(' '.join(STATUS_OF))})(?P<whom> to .+)?", re.IGNORECASE
)
ATTITUDE = re.compile(
    rf"{SUBJECT} (?P<denied>(?:do|does) not )?(?P<verb>{either(' '.join(LIKES | DISLIKES))}) {VALUE}", re.IGNORECASE
)
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
    for relation, pattern, changes in PEOPLE if HINT.search(text) else ():
        if match := pattern.fullmatch(text):
            yield _claim(sentence, match["subject"], relation, match["value"], changed=changes, needs_change=True)
    if match := STATUS.fullmatch(text):
        value = match["value"].casefold()
        yield _claim(sentence, match["subject"], f"status {STATUS_OF[value]}", f"{value} {match['whom'] or ''}")
    yield from _own_nouns(sentence, text)


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
    if not is_favorite and head not in FUNCTIONAL_NOUNS:
        return
    value = re.sub(r"^(?:called|named|at|with) ", "", value, flags=re.IGNORECASE)
    if NOT_A_VALUE.match(value) and not re.match(r"an? |the |in ", value):
        return
    name = FAVORITE.sub("favorite ", noun.casefold()).replace("colour", "color")
    needs_change = not is_favorite and head not in PLAIN_NOUNS
    yield _claim(sentence, owner, RELATION_OF_NOUN.get(name, name), value, changed=changed, needs_change=needs_change)


def _claim(
    sentence: Sentence, subject: str, relation: str, value: str, *, changed: bool = False, needs_change: bool = False
) -> Claim:
    return Claim(
        fold_subject(subject, sentence.speaker),
        relation,
        fold(value),
        is_proper=PROPER.match(value) is not None,
        needs_change=needs_change,
        changed=changed or sentence.changed,
    )
