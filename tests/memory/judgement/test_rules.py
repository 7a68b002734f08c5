"""What a new statement means for an older one, decided by rules alone."""

from app.memory.judgement.readings import may_concern, may_replace, read_statement
from app.memory.judgement.rules import Verdict, judge
from tests.memory.judgement.pairs import (
    COMPATIBLE,
    CORRECTIONS,
    MORE_COMPATIBLE,
    MORE_REPLACING,
    OTHER_LANGUAGES,
    OTHER_LANGUAGES_COMPATIBLE,
    REPLACING,
)


def test_rules_replace_what_is_not_true_any_more() -> None:
    assert len(REPLACING) == 30
    pairs = REPLACING + MORE_REPLACING
    assert [(old, new) for old, new in pairs if judge(new, old) is not Verdict.REPLACES] == []


def test_rules_keep_what_can_still_be_true() -> None:
    assert len(COMPATIBLE) == 30
    kept = (Verdict.ADDS, Verdict.UNRELATED)
    assert [(old, new) for old, new in COMPATIBLE + MORE_COMPATIBLE if judge(new, old) not in kept] == []


def test_rules_understand_corrections() -> None:
    assert [(old, new) for old, new in CORRECTIONS if judge(new, old) is not Verdict.REPLACES] == []


def test_rules_read_simple_statements_in_other_languages() -> None:
    assert [(old, new) for old, new in OTHER_LANGUAGES if judge(new, old) is not Verdict.REPLACES] == []
    kept = (Verdict.ADDS, Verdict.UNRELATED)
    assert [(old, new) for old, new in OTHER_LANGUAGES_COMPATIBLE if judge(new, old) not in kept] == []


def test_rules_recognise_what_is_said_in_other_words() -> None:
    assert judge("I'm employed by Northwind.", "I work at Northwind") is Verdict.SAME
    assert judge("I  live in Porto", "I live in Porto") is Verdict.SAME


def test_quick_look_misses_no_statement_that_replaces() -> None:
    assert [
        new for _, new in (*REPLACING, *MORE_REPLACING, *CORRECTIONS, *OTHER_LANGUAGES) if not may_replace(new)
    ] == []
    assert not may_replace("Ana painted an old camera in Bremen")
    pairs = (*REPLACING, *MORE_REPLACING, *CORRECTIONS, *OTHER_LANGUAGES)
    assert [(old, new) for old, new in pairs if not may_concern(read_statement(new), old)] == []
    assert not may_concern(read_statement("The capital of Spain is Porto"), "The capital of France is Paris")


def test_rules_compare_nothing_in_a_long_text() -> None:
    assert not may_replace("I live in Porto. " * 100)
