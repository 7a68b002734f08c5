"""Decide, by rules, what a new statement means for an older one. Pure: nothing here does I/O.

The rules prefer keeping a memory that is out of date to losing one that is true: two things that can both be true never
replace each other, and an older memory that says more than the one thing that changed is kept.
"""

from enum import StrEnum

from app.memory.judgement.claim import Claim
from app.memory.judgement.readings import WORD, Denial, Reading, read_statement, stems
from app.memory.judgement.vocabulary import COUNTRIES


class Verdict(StrEnum):
    SAME = "same"
    REPLACES = "replaces"
    ADDS = "adds"
    UNRELATED = "unrelated"


def judge(new: str, old: str) -> Verdict:
    """What the newer statement means for the older one."""
    if new.casefold().split() == old.casefold().split():
        return Verdict.SAME
    return judge_readings(read_statement(new), read_statement(old))


def differs(new: Claim, old: Claim) -> bool:
    """Whether two claims with the same subject and relation state different things, whichever of them is true."""
    if new.denied or old.denied:
        return new.denied != old.denied
    return set(WORD.findall(new.value)) != set(WORD.findall(old.value)) and not _is_wider(new, old)


def judge_readings(new: Reading, old: Reading) -> Verdict:
    verdicts = {_compare(new.claims[key], old.claims[key]) for key in new.claims if key in old.claims}
    verdicts.discard(Verdict.UNRELATED)
    if verdicts == {Verdict.SAME}:
        return Verdict.SAME
    is_false = Verdict.REPLACES in verdicts or any(_denies(denial, old) for denial in new.denials)
    if is_false and old.is_single and Verdict.ADDS not in verdicts:
        return Verdict.REPLACES
    return Verdict.ADDS if verdicts else Verdict.UNRELATED


def _denies(denial: Denial, old: Reading) -> bool:
    if not denial.words or old.denials or denial.subject != old.subject:
        return False
    if denial.spare and old.head not in denial.words:
        return False
    others = old.words - denial.words - denial.allowed - stems(old.subject)
    return denial.words <= old.words and len(others) <= denial.spare


def _compare(new: Claim, old: Claim) -> Verdict:
    """Of two claims with the same subject and relation."""
    new_words, old_words = set(WORD.findall(new.value)), set(WORD.findall(old.value))
    if new.denied or old.denied:
        return Verdict.REPLACES if new.denied and not old.denied and new_words == old_words else Verdict.ADDS
    if new_words == old_words:
        return Verdict.SAME
    if (new.only_change or old.only_change) and not new.changed:
        return Verdict.UNRELATED
    if new_words <= old_words or old_words <= new_words or _is_wider(new, old):
        return Verdict.ADDS
    return Verdict.REPLACES if _excludes(new, old) else Verdict.ADDS


def _excludes(new: Claim, old: Claim) -> bool:
    """Whether only one of two different values can be true."""
    both_names = new.is_proper and old.is_proper
    if new.is_strict or old.is_strict:
        return both_names
    if new.relation and new.is_proper != old.is_proper and not new.changed:
        return False
    return both_names or new.changed or not (new.needs_change or old.needs_change)


def _is_wider(new: Claim, old: Claim) -> bool:
    """One is a country, the other a place that may lie in it."""
    return new.relation == "place" and (new.value in COUNTRIES) != (old.value in COUNTRIES)
