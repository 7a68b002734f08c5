"""The statements of a namespace that are true so far: what a newer one contradicts or repeats among them (pure)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from uuid import UUID

from app.memory.judgement.duplicates.differences import differ_for_certain
from app.memory.judgement.duplicates.wording import Wording, read_wording
from app.memory.judgement.neighbours import Pair, Statement
from app.memory.judgement.readings import Reading, read_statement
from app.memory.judgement.rules import Verdict, judge_readings

MAX_SAME_CLAIM = 100
MAX_OTHER_WORDS = 1
"""In which two statements with the same claim may differ on each side: `I live in Rome`, `I reside in Rome`."""


class Likeness(Enum):
    EQUAL = "equal"
    NEW_SAYS_MORE = "new says more"
    OLD_SAYS_MORE = "old says more"


@dataclass(frozen=True, slots=True)
class FoundPairs:
    """The pairs of which the older one is superseded, or for duplicates the one that is not kept."""

    replaced: Sequence[Pair] = ()
    merged: Sequence[Pair] = ()


@dataclass(slots=True)
class Known:
    wordings: Mapping[UUID, Wording] | None = None
    """Of all statements. None merges no duplicates."""
    by_key: dict[object, dict[UUID, Statement]] = field(default_factory=lambda: defaultdict(dict))
    readings: dict[UUID, Reading] = field(default_factory=dict)

    def tell(self, new: Statement) -> FoundPairs:
        """What a new statement means for those that are known. It is known itself from now on, unless it is merged."""
        reading = read_statement(new.content)
        near = {each.id: each for key in self._questions(new, reading) for each in self._newest(key)}
        older = [each for each in near.values() if each.told < new.told]
        replaced = [
            Pair(new, each) for each in older if judge_readings(reading, self.readings[each.id]) is Verdict.REPLACES
        ]
        gone = {pair.old.id for pair in replaced}
        merged = self._merge(new, reading, [each for each in older if each.id not in gone])
        for pair in (*replaced, *merged):
            if pair.old.id != new.id:
                self._forget(pair.old)
        if not any(pair.old.id == new.id for pair in merged):
            self.readings[new.id] = reading
            for key in self._keys(new, reading):
                self.by_key[key][new.id] = new
        return FoundPairs(replaced, merged)

    def _merge(self, new: Statement, reading: Reading, older: Sequence[Statement]) -> list[Pair]:
        """Once the new statement itself is merged, it is no duplicate of further ones."""
        merged: list[Pair] = []
        for each in sorted(older, key=lambda one: one.told, reverse=True) if self.wordings else ():
            likeness = self._compare(new, reading, each)
            pair = choose_kept(new, each, likeness) if likeness else None
            merged += [pair] if pair else []
            if pair and pair.old.id == new.id:
                break
        return merged

    def _newest(self, key: object) -> Iterable[Statement]:
        """Of many statements with the same claim that could not be replaced, the last ones told. What a denial ends
        may be older."""
        found = reversed(self.by_key[key].values())
        is_subject = isinstance(key, tuple) and isinstance(key[1], str)
        return found if is_subject else islice(found, MAX_SAME_CLAIM)

    def _forget(self, old: Statement) -> None:
        for key in self._keys(old, self.readings.pop(old.id)):
            del self.by_key[key][old.id]

    def _compare(self, new: Statement, reading: Reading, old: Statement) -> Likeness | None:
        """None if they are no duplicates, or if a request has told them apart."""
        if self.wordings is None or new.alike != old.alike or new.id in old.coexists or old.id in new.coexists:
            return None
        wording, other, reading_of_old = self.wordings[new.id], self.wordings[old.id], self.readings[old.id]
        if wording.words == other.words:
            return Likeness.EQUAL
        if likeness := compare_wordings(wording, other):
            return likeness
        if judge_readings(reading, reading_of_old) is not Verdict.SAME or differ_for_certain(new.content, old.content):
            return None
        return compare_same_claims(reading, reading_of_old)

    def _questions(self, statement: Statement, reading: Reading) -> list[object]:
        """Where the statements are that it may contradict or repeat."""
        claimed: list[object] = [(statement.scope, key) for key in reading.claims]
        denied = ((statement.scope, denial.subject) for denial in reading.denials)
        return [*claimed, *denied, *self._wording_keys(statement)]

    def _keys(self, statement: Statement, reading: Reading) -> list[object]:
        single = [(statement.scope, reading.subject)] if reading.is_single else []
        return [*((statement.scope, key) for key in reading.claims), *single, *self._wording_keys(statement)]

    def _wording_keys(self, statement: Statement) -> list[object]:
        if self.wordings is None:
            return []
        wording = self.wordings[statement.id]
        return [(statement.scope, each) for each in dict.fromkeys(wording) if each is not None]


def compare_wordings(new: Wording, old: Wording) -> Likeness | None:
    if new.meaning == old.meaning:
        return Likeness.EQUAL
    if new.base == old.meaning:
        return Likeness.NEW_SAYS_MORE
    return Likeness.OLD_SAYS_MORE if old.base == new.meaning else None


def compare_same_claims(new: Reading, old: Reading) -> Likeness | None:
    """`I work at Alder as a nurse` and `I work at Alder` claim the same, and the first one says more."""
    more, less = new.words - old.words, old.words - new.words
    if not (new.is_single and old.is_single):
        return None
    if len(more) <= MAX_OTHER_WORDS and len(less) <= MAX_OTHER_WORDS and bool(more) == bool(less):
        return Likeness.EQUAL
    if more and less:
        return None
    return Likeness.NEW_SAYS_MORE if more else Likeness.OLD_SAYS_MORE


def choose_kept(new: Statement, old: Statement, likeness: Likeness) -> Pair | None:
    """The one that says more is kept, and otherwise the newer one. But a standing statement never leaves the prompt,
    and what a less trusted source said gains no trust: if no statement can be kept so, both are."""
    options = [Pair(new, old)] if likeness is not Likeness.OLD_SAYS_MORE else []
    options += [Pair(old, new)] if likeness is not Likeness.NEW_SAYS_MORE else []
    return next((each for each in options if _may_keep(each.new, each.old)), None)


def _may_keep(kept: Statement, other: Statement) -> bool:
    return kept.standing >= other.standing and kept.trust <= other.trust


def read_wordings(statements: Iterable[Statement]) -> dict[UUID, Wording]:
    return {each.id: read_wording(each.content) for each in statements}


def find_replacements(statements: Iterable[Statement], known: Known) -> FoundPairs:
    found = [known.tell(each) for each in sorted(statements, key=lambda each: each.told)]
    return FoundPairs(
        [pair for each in found for pair in each.replaced], [pair for each in found for pair in each.merged]
    )
