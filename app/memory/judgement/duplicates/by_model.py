"""Ask the language model which near statements say the same, where the rules do not decide.

A model that finds that everything is the same would hide memories. So each question has a pair of which the answer is
known, and an answer that is wrong about it, or that cannot be read, has no effect at all.
"""

from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

from app.core.ports import ChatMessage, ModelOptions, Role
from app.core.resources import Resources
from app.core.text.fenced_text import DATA_INSTRUCTIONS, MEMORIES, Fence, plain_line
from app.core.text.json_answers import read_json_object
from app.memory.judgement.neighbours import Pair
from app.projects.token_usage import ask_model

PAIRS_PER_QUESTION = 20
MAX_CHARACTERS = 300
SUSPICIOUS_FROM, SUSPICIOUS_SHARE = 8, 0.75
"""From so many pairs on, an answer that calls more of them the same is not believed."""
TASK = (
    "Decide for each numbered pair of statements whether both say the same.\n"
    "- same: each tells everything that the other one tells, in other words. Nothing is lost if one is deleted.\n"
    "- different: one of them has a detail, a number, a date, a name, a person, a negation, a strength or a time that"
    " the other one does not have.\n"
    "When in doubt, answer different.\n"
    'Answer with JSON only: {"pairs": [{"pair": 1, "verdict": "different"}]}, with one entry for each pair.'
)
KNOWN_TO_DIFFER = ("The user plays the piano in a band.", "The user has sold the old piano.")


class SameVerdict(StrEnum):
    SAME = "same"
    DIFFERENT = "different"


class UnusableComparison(Exception):
    """The answer must have no effect. The reason contains none of its words."""


async def ask_which_are_same(resources: Resources, project_id: UUID, pairs: Sequence[Pair]) -> list[Pair]:
    """Raises UnusableComparison, or the error of the model or the budget. No transaction is open meanwhile."""
    options = ModelOptions(temperature=0, max_tokens=30 * len(pairs) + 130)
    answer = await ask_model(resources, project_id, build_question(pairs), options)
    return read_answer(answer, pairs)


def build_question(pairs: Sequence[Pair]) -> list[ChatMessage]:
    """The pair that is known comes in the middle, so that an answer for one end does not fit."""
    known = _place_of_known(pairs)
    shown = [(pair.old.content, pair.new.content) for pair in pairs]
    shown.insert(known, KNOWN_TO_DIFFER)
    lines = [
        f"{number}{letter}. {plain_line(content[:MAX_CHARACTERS])}"
        for number, pair in enumerate(shown, 1)
        for letter, content in zip("ab", pair, strict=True)
    ]
    question = "\n".join(["Pairs, the statements a and b of each:", Fence().enclose(MEMORIES, lines)])
    return [ChatMessage(Role.SYSTEM, f"{TASK}\n{DATA_INSTRUCTIONS}"), ChatMessage(Role.USER, question)]


def read_answer(answer: str, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that say the same. Raises UnusableComparison."""
    known = _place_of_known(pairs)
    verdicts: dict[int, SameVerdict] = {}
    for entry in _entries(answer):
        number, verdict = _entry(entry)
        if not 1 <= number <= len(pairs) + 1:
            raise UnusableComparison("unknown_pair")
        if verdicts.setdefault(number, verdict) is not verdict:
            raise UnusableComparison("contradiction")
    if verdicts.get(known + 1) is not SameVerdict.DIFFERENT:
        raise UnusableComparison("wrong_about_known_pair")
    found = sum(verdict is SameVerdict.SAME for verdict in verdicts.values())
    if len(pairs) >= SUSPICIOUS_FROM and found > SUSPICIOUS_SHARE * len(pairs):
        raise UnusableComparison("too_many_the_same")
    numbers = [number for number in range(1, len(pairs) + 2) if number != known + 1]
    return [pair for number, pair in zip(numbers, pairs, strict=True) if verdicts.get(number) is SameVerdict.SAME]


def _place_of_known(pairs: Sequence[Pair]) -> int:
    return len(pairs) // 2


def _entries(answer: str) -> list[object]:
    entries = (read_json_object(answer) or {}).get("pairs")
    if not isinstance(entries, list):
        raise UnusableComparison("no_verdicts")
    return entries


def _entry(entry: object) -> tuple[int, SameVerdict]:
    if isinstance(entry, dict):
        number, word = entry.get("pair"), entry.get("verdict")
        if type(number) is int and isinstance(word, str) and word.strip().lower() in set(SameVerdict):
            return number, SameVerdict(word.strip().lower())
    raise UnusableComparison("unreadable_verdict")
