"""Frames: sentences that say of a thing what it has one of, in the words before the value.

`The capital of X is …`, `X was founded by …`, `X is associated with the sport of …`. Two sentences with the same frame
and different values contradict each other, whatever the subject is.
"""

import re
from collections.abc import Iterator

from app.memory.judgement.claim import CLAUSE, NOT_A_VALUE, PROPER, Claim, fold
from app.memory.judgement.statements import Sentence
from app.memory.judgement.vocabulary import CLASS_NOUNS, FUNCTIONAL_NOUNS, MADE_BY, MANY_NOUNS, PLAIN_NOUNS, either

CLASS = either(" ".join(CLASS_NOUNS))
FRAMES = re.compile(
    "|".join(
        (
            rf"\b(?:is|was|are|were)(?: \w+ly)? (?:{either(' '.join(MADE_BY))}) by (?=\S)",
            r"\b(?:is|am|are) (?:an? )?citizens? of (?=\S)",
            r"\b(?:is|am|are) (?:married to|employed by|owned by) (?=\S)",
            rf"\b(?:(?:is|was|are|am|were)(?: \w+)?|died|works?|worked|working|plays?|lives?|resides?|belongs?)"
            rf" (?:(?:in|with|to|at|for) )?the (?:{CLASS}) of (?=\S)",
        )
    ),
    re.IGNORECASE,
)
DEFINITE = re.compile(
    r"the (?:[\w'-]+ ){0,3}?(?P<noun>[\w'-]+) (?:of|in|that|where|for|at|to|which) .+ (?:is|was) \S", re.IGNORECASE
)
COPULA = re.compile(rf" (?:is|was)(?: located in| based in)?(?:(?: in)? the (?:{CLASS}) of)? (?=\S)", re.IGNORECASE)
HELD_BY = re.compile(r"(?P<value>[A-Z][^,;:]{0,60}?) is (?P<phrase>the (?:[\w'-]+ ){0,2}?(?P<noun>[\w'-]+) of .+)")
OWNED = re.compile(r"\b(?:my|our|his|her|their) (?:\w+ )?(\w+)(?= (?:is|was)\b)", re.IGNORECASE)
UNCERTAIN = re.compile(r"(?:if|maybe|perhaps|i think|i believe|i guess|when|in case|suppose)\b", re.IGNORECASE)


def read_frames(sentence: Sentence) -> Iterator[Claim]:
    """One claim for each place where a value may begin."""
    text = sentence.text
    if UNCERTAIN.match(text):
        return
    for match in FRAMES.finditer(text):
        yield _claim(sentence, match.end(), is_strict=False)
    yield from _read_held(sentence)
    definite = DEFINITE.match(text)
    if definite is None or _has_many(definite["noun"].casefold()) or _is_of_one_of_many(text):
        return
    for match in COPULA.finditer(text):
        yield _claim(sentence, match.end(), is_strict=definite["noun"].casefold() not in PLAIN_NOUNS)


def _read_held(sentence: Sentence) -> Iterator[Claim]:
    """`Ann is the president of X` is read as `the president of X is Ann`."""
    match = HELD_BY.fullmatch(sentence.text)
    if match and match["noun"].casefold() in FUNCTIONAL_NOUNS and not match["value"].startswith(("The ", "I ", "My ")):
        subject = f"{match['phrase'].casefold()} is"
        yield Claim(subject, "", fold(match["value"]), is_proper=True, is_strict=True, changed=sentence.changed)


def _is_of_one_of_many(text: str) -> bool:
    """`The name of my cat is …`: the next one may be about another cat."""
    return any(owned[1].casefold() in MANY_NOUNS for owned in OWNED.finditer(text))


def _has_many(noun: str) -> bool:
    return noun in MANY_NOUNS or (noun.endswith("s") and noun not in FUNCTIONAL_NOUNS)


def _claim(sentence: Sentence, start: int, *, is_strict: bool) -> Claim:
    value = sentence.text[start:]
    is_value = not (CLAUSE.search(value) or NOT_A_VALUE.match(value) or COPULA.search(value))
    return Claim(
        re.sub(r"^i\b", sentence.speaker, sentence.text[:start].strip().casefold()),
        "",
        fold(value) if is_value else "",
        is_proper=PROPER.match(value) is not None,
        is_strict=is_strict,
        changed=sentence.changed,
    )
