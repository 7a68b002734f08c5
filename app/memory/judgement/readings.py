"""Read a statement: what it claims, and what it says is not true any more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core.text.content_words import words
from app.memory.judgement.claim import SUBJECT, Claim, fold_subject
from app.memory.judgement.claims import read_claims
from app.memory.judgement.statements import Sentence, read_sentences
from app.memory.judgement.vocabulary import STOP_WORDS, USES

MAX_CHARACTERS = 1000
"""A longer text tells a story. Nothing in it is compared."""
GREETING_WORDS = 4
"""Beside another sentence, one of fewer words without a claim says nothing that could be lost."""
WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
SUFFIX = re.compile(r"(?:ing|ies|ied|es|ed|s|y|e)$")
HAVE = r"(?:(?:have|has) )?"
NO_LONGER = re.compile(
    rf"{SUBJECT} (?:(?:am|is|are|do|does|have|has|can) )?(?:no longer|not) (?P<rest>.+)", re.IGNORECASE
)
END_OF_DENIAL = re.compile(r"\b(?:any ?more|any longer|no longer)\b", re.IGNORECASE)
STOPPED = re.compile(
    rf"{SUBJECT} {HAVE}(?:stopped|quit|gave up|given up|cancelled|canceled) (?P<rest>.+)", re.IGNORECASE
)
LEFT = re.compile(
    rf"{SUBJECT} {HAVE}(?:left|quit my (?:job|position) (?:at|with)|left my (?:job|position) (?:at|with)|resigned from|"
    r"(?:got|was|been) (?:laid off|fired) (?:from|by)|retired from|graduated from) (?P<rest>.+)",
    re.IGNORECASE,
)
FOR_GOOD = r"(?!.*\b(?:for|at|in|on|during|because|when|while|yesterday|once|sometimes)\b).+"
"""`I switched from coffee to tea for lunch` does not say that the speaker drinks no coffee."""
EXCHANGE = re.compile(
    rf"{SUBJECT} (?:(?:have|has|am|is|are|was|were) )?(?:switched|changed|migrated|upgraded|moved|switching)"
    rf"(?: .+?)?? from (?P<rest>.+?) to {FOR_GOOD}",
    re.IGNORECASE,
)
EXCHANGE_REVERSED = re.compile(
    rf"{SUBJECT} {HAVE}(?:switched|changed|migrated|moved) to .+ from (?P<rest>.+)", re.IGNORECASE
)
REPLACED = re.compile(rf"{SUBJECT} {HAVE}(?:replaced|swapped) (?P<rest>.+?) (?:with|by|for) .+", re.IGNORECASE)
INSTEAD = re.compile(
    rf"{SUBJECT} (?P<verb>\w+) .+?,? (?:instead of|rather than|and not|not) (?P<rest>.+)", re.IGNORECASE
)
MORE = re.compile(r",? (?:but|because|which|where|and (?=(?:i|my|we|our|he|she|it|they)\b))\b|[;(—]", re.IGNORECASE)
"""Where a sentence goes on to say something else."""

MARKS = str.maketrans(dict.fromkeys(".,:;!?'\"()", " "))
HINTS = words(
    "upgraded fired laid retired graduated joined study studies studying drive drives prefer prefers wake get located",
    "is am are s m t was were work works working live lives living reside resides based moved relocated job",
    "call turned married costs cost weigh weighs became changed switched replaced stopped quit left gave given",
    "died play plays belong belongs cancelled canceled resigned longer anymore instead rather not like likes",
    "love loves enjoy enjoys adore adores dislike dislikes hate hates detest detests loathe loathes migrated",
    "swapped updated renamed employed name postponed rescheduled arbeite wohne lebe bin mein meine trabajo vivo",
    "llamo nombre mi mudado ben en worked",
)
"""Without one of these, a text claims and denies nothing."""


@dataclass(frozen=True, slots=True)
class Denial:
    """`I no longer work at X`, `I switched from X to Y`: words that are not true of the subject any more."""

    subject: str
    words: frozenset[str]
    allowed: frozenset[str] = frozenset()
    """Further words that the older statement may contain."""
    spare: int = 0
    """How many others it may contain."""


@dataclass(frozen=True, slots=True)
class Reading:
    claims: Mapping[tuple[str, str], Claim]
    denials: tuple[Denial, ...]
    subject: str
    words: frozenset[str]
    head: str
    """The first word after the subject that carries meaning."""
    is_single: bool
    """Nothing else is said that would be lost if it was replaced."""

    @property
    def may_replace(self) -> bool:
        return bool(self.claims or self.denials)


NOTHING = Reading({}, (), "", frozenset(), "", is_single=False)


def read_statement(text: str) -> Reading:
    if len(text) > MAX_CHARACTERS:
        return NOTHING
    sentences = read_sentences(text)
    parts = [(sentence, *_read_sentence(sentence)) for sentence in sentences]
    telling = [each for each, claims, denials in parts if claims or denials or _tells(each)] or sentences
    only = telling[0] if len(telling) == 1 else None
    return Reading(
        {key: claim for _, claims, _ in parts for key, claim in claims.items()},
        tuple(denial for _, _, denials in parts for denial in denials),
        _subject_of(only) if only else "",
        stems(only.text) if only else frozenset(),
        _head_of(only) if only else "",
        is_single=only is not None,
    )


def read_claims_of(text: str) -> dict[tuple[str, str], Claim]:
    """What a text claims, without what it denies, and whatever else each sentence goes on to say."""
    sentences = read_sentences(text) if _has_hint(text) else []
    firsts = [replace(each, text=MORE.split(each.text, maxsplit=1)[0].strip(" ,")) for each in sentences]
    return {key: claim for each in firsts for key, claim in _read_sentence(each)[0].items()}


def may_replace(text: str) -> bool:
    """Whether a statement says anything that could replace another one: most do not, which this tells quickly."""
    return _has_hint(text) and read_statement(text).may_replace


def _has_hint(text: str) -> bool:
    return not text.isascii() or not HINTS.isdisjoint(text.casefold().translate(MARKS).split())


def may_concern(new: Reading, old: str) -> bool:
    """Whether an older text has the words of any subject of the new statement: most have not, so they are not read."""
    text = old.casefold()
    subjects = {subject.replace("user's ", "") for subject, _ in new.claims if subject != "user"}
    is_open = bool(new.denials) or any(subject == "user" for subject, _ in new.claims)
    return is_open or any(all(word in text for word in subject.split()) for subject in subjects)


def _tells(sentence: Sentence) -> bool:
    return len(sentence.text.split()) >= GREETING_WORDS


def _read_sentence(sentence: Sentence) -> tuple[dict[tuple[str, str], Claim], list[Denial]]:
    """A sentence that denies one thing and claims another, such as `… instead of …`, is read as a denial."""
    denials = _read_denials(sentence)
    return ({} if denials else read_claims(sentence)), denials


def _read_denials(sentence: Sentence) -> list[Denial]:
    text = sentence.text
    bare = " ".join(END_OF_DENIAL.sub(" ", text).split())
    if bare != text and (match := NO_LONGER.fullmatch(text) or NO_LONGER.fullmatch(bare)):
        return [_denial(sentence, match, spare=2)]
    if match := LEFT.fullmatch(text):
        return [_denial(sentence, match, allowed=stems("work job employed study student position"))]
    if match := STOPPED.fullmatch(text):
        return [_denial(sentence, match, spare=2)]
    if match := INSTEAD.fullmatch(text):
        return [_denial(sentence, match, verb=match["verb"])]
    match = EXCHANGE.fullmatch(text) or EXCHANGE_REVERSED.fullmatch(text) or REPLACED.fullmatch(text)
    return [_denial(sentence, match, allowed=USED)] if match else []


def _denial(
    sentence: Sentence, match: re.Match[str], *, verb: str = "", allowed: frozenset[str] = frozenset(), spare: int = 0
) -> Denial:
    return Denial(fold_subject(match["subject"], sentence.speaker), stems(f"{verb} {match['rest']}"), allowed, spare)


def _subject_of(sentence: Sentence) -> str:
    match = re.match(rf"{SUBJECT}\b", sentence.text, re.IGNORECASE)
    return fold_subject(match["subject"], sentence.speaker) if match else ""


def _head_of(sentence: Sentence) -> str:
    match = re.match(rf"{SUBJECT}\b", sentence.text, re.IGNORECASE)
    rest = WORD.findall(sentence.text[match.end() :].casefold()) if match else []
    return next((_stem(word) for word in rest if word not in STOP_WORDS), "")


def stems(text: str) -> frozenset[str]:
    """The words that carry the meaning, without most endings of English."""
    return frozenset(_stem(word) for word in WORD.findall(text.casefold()) if word not in STOP_WORDS)


def _stem(word: str) -> str:
    if len(word) <= 3:
        return word
    stem = SUFFIX.sub("", word)
    return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] and word.endswith(("ing", "ed")) else stem


USED = stems(" ".join(USES))
