"""Rivals: candidates that state different values of the same thing, although neither was recorded as replaced.

The judgement did not compare them, or dared not replace a memory that says more than one thing. Ranking puts the newest
first and lowers the others, which a client can still find.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from app.core.text.content_words import words
from app.memory.judgement import FUNCTIONAL_NOUNS, STOP_WORDS, Claim, differs, read_claims_of
from app.memory.recall.features import RankingInput

COMPARED_RIVALS = 10
"""How many of the best are compared."""
MAX_CHARACTERS = 160
"""A longer text tells more than one thing, so most of it is right whatever became of the rest."""
LOSS = 1.0
"""In logits: more than recency gives, so that an older memory never passes the newest, and less than it takes to hide
one that fits the question."""
MAX_GAP = 2.5
"""In logits: how much weaker than the best a compared memory may be."""
SHARED_WORDS = 0.5
WORD = re.compile(r"\w+")
RELATIONS = {
    "employer": words("work works working job employed employer company joined"),
    "place": words("live lives living reside based moved relocated home hometown"),
    "name": words("name named called call nickname"),
    "spouse": words("married engaged wife husband spouse partner"),
    "age": words("age old turned years"),
}
"""Words of one relation: two statements about it may share no other word."""
RELATION_OF = {noun: noun for noun in FUNCTIONAL_NOUNS} | {
    word: relation for relation, of_relation in RELATIONS.items() for word in of_relation
}
RELATION_WORDS = frozenset(RELATION_OF)
Scope = tuple[object, ...]
Values = dict[int, Claim]
"""The claim of each row."""


class ComparedWords(NamedTuple):
    words: set[str]
    """Those that carry meaning, without the first, which names the subject."""
    relations: set[str]


def rival_shifts(question: str, best: Sequence[RankingInput], logits: Sequence[float]) -> dict[int, float]:
    """What each row gains or loses, in logits. Most lists have no rivals, which is found out without reading them."""
    rows = _possible_rivals(question, best, logits)
    if not rows:
        return {}
    targets = dict[int, float]()
    for values in _by_claim(best, rows).values():
        if len(values) > 1:
            targets |= _targets(best, values, {row: targets.get(row, logits[row]) for row in values})
    return {row: target - logits[row] for row, target in targets.items() if target != logits[row]}


def _possible_rivals(question: str, best: Sequence[RankingInput], logits: Sequence[float]) -> set[int]:
    asked = _content(question).relations
    scopes = defaultdict[Scope, list[tuple[int, ComparedWords]]](list)
    for row, each in enumerate(best):
        if len(each.content) <= MAX_CHARACTERS and logits[0] - logits[row] <= MAX_GAP:
            scopes[_scope(each)].append((row, _content(each.content)))
    return {
        row
        for of_scope in scopes.values()
        for (row_of_one, one), (row_of_other, other) in combinations(of_scope, 2)
        if _may_be_rivals(one, other, asked)
        for row in (row_of_one, row_of_other)
    }


def _content(text: str) -> ComparedWords:
    _, *rest = WORD.findall(text.casefold()) or [""]
    content = set(rest) - STOP_WORDS
    return ComparedWords(content, {RELATION_OF[each] for each in content & RELATION_WORDS})


def _scope(each: RankingInput) -> Scope:
    """Statements of two people, or to two agents, do not contradict each other."""
    run_id = None if each.profile_id else each.run_id
    return each.profile_id, run_id, each.role, each.agent_id, each.app_id


def _may_be_rivals(one: ComparedWords, other: ComparedWords, asked: set[str]) -> bool:
    if asked & one.relations & other.relations:
        return True
    return len(one.words & other.words) > SHARED_WORDS * min(len(one.words), len(other.words))


def _by_claim(best: Sequence[RankingInput], rows: set[int]) -> Mapping[object, Values]:
    claims = defaultdict[object, Values](dict)
    for row in sorted(rows):
        for key, claim in read_claims_of(best[row].content).items():
            claims[_scope(best[row]), key][row] = claim
    return claims


def _targets(best: Sequence[RankingInput], values: Values, logits: Mapping[int, float]) -> dict[int, float]:
    """The newest rises to the best of its rivals; those with another value fall below it."""
    newest = max(values, key=lambda row: best[row].created_at)
    rivals = [
        row
        for row, claim in values.items()
        if best[row].created_at < best[newest].created_at and differs(values[newest], claim)
    ]
    if not rivals:
        return {}
    top = max(logits[row] for row in (newest, *rivals))
    return {newest: top, **{row: min(logits[row], top - LOSS) for row in rivals}}
