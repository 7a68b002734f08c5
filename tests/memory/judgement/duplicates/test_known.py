"""Which statements are merged by the rules: a table of pairs that say the same, and of near pairs that do not."""

import datetime as dt
from uuid import UUID

import pytest

from app.memory.judgement.duplicates import FoundPairs, Known, find_replacements, read_wordings
from app.memory.judgement.duplicates.differences import differ_for_certain
from app.memory.judgement.neighbours import Statement
from tests.memory.judgement.duplicates.pairs import DIFFERENT, SAME, SAYS_MORE

FIRST_DAY = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
USER, IMPORTED = 4, 1


def statement(number: int, content: str, *, standing: bool = False, trust: int = USER, alike: bytes = b"") -> Statement:
    told = FIRST_DAY + dt.timedelta(days=number)
    return Statement(UUID(int=number), "n", content, None, told, number, "", None, alike, standing, trust)


def find(*statements: Statement, merge: bool = True) -> FoundPairs:
    return find_replacements(statements, Known(read_wordings(statements) if merge else None))


def merged(*statements: Statement) -> list[tuple[int, int]]:
    """The number of each statement that is merged, and of the one that is kept."""
    return [(pair.old.id.int, pair.new.id.int) for pair in find(*statements).merged]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_in_other_words_is_merged_into_the_newer(one: str, other: str) -> None:
    for older, newer in ((one, other), (other, one)):
        assert merged(statement(1, older), statement(2, newer)) == [(1, 2)]


@pytest.mark.parametrize(("more", "less"), SAYS_MORE)
def test_statement_that_says_more_is_kept(more: str, less: str) -> None:
    assert merged(statement(1, more), statement(2, less)) == [(2, 1)]
    assert merged(statement(1, less), statement(2, more)) == [(1, 2)]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_near_statements_that_say_something_else_are_kept(one: str, other: str) -> None:
    assert merged(statement(1, one), statement(2, other)) == []
    assert merged(statement(1, other), statement(2, one)) == []


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_is_not_merged_unless_it_is_asked_for(one: str, other: str) -> None:
    assert find(statement(1, one), statement(2, other), merge=False).merged == []


def test_details_that_only_add_are_merged_one_by_one() -> None:
    """Two dogs are not one, although both statements say that there is a dog."""
    rex, bo, some = "I have a dog named Rex", "I have a dog named Bo", "I have a dog"
    assert merged(statement(1, rex), statement(2, bo), statement(3, some)) == [(3, 2)]
    assert merged(statement(1, some), statement(2, rex), statement(3, bo)) == [(1, 2)]


@pytest.mark.parametrize(
    ("more", "less"),
    [("I work at Alder as a nurse", "I'm employed by Alder"), ("Ann lives in Rome for good", "Ann lives in Rome")],
    ids=["occupation", "duration"],
)
def test_same_claim_with_a_detail_is_not_lost(more: str, less: str) -> None:
    assert (1, 2) not in merged(statement(1, more), statement(2, less))


def test_trust_and_standing_decide_what_is_kept() -> None:
    one, other = "I am vegan", "The user is vegan."
    assert merged(statement(1, one, trust=IMPORTED), statement(2, other)) == [(2, 1)]
    assert merged(statement(1, one, standing=True), statement(2, other)) == [(2, 1)]
    assert merged(statement(1, one), statement(2, other, standing=True, trust=IMPORTED)) == [(1, 2)]
    assert merged(statement(1, one, standing=True), statement(2, other, trust=IMPORTED)) == []
    assert merged(statement(1, one), statement(2, other, alike=b"another kind, metadata or expiry date")) == []


def test_pair_that_a_request_told_apart_is_kept() -> None:
    older, newer = statement(1, "I am vegan"), statement(2, "I'm vegan")
    assert merged(older._replace(coexists=[newer.id]), newer) == []
    assert merged(older, newer._replace(coexists=[older.id])) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I have two dogs", "I have three dogs"),
        ("It costs $5", "It costs €5"),
        ("My sister Ann sings", "My sister Eva sings"),
        ("I never eat meat", "I eat meat"),
        ("I like jazz", "I love jazz"),
        ("We live in Rome", "I live in Rome"),
        ("Do I like tea?", "I like tea"),
        ("Ich mag Tee", "Ich mag keinen Tee"),
        ("我对花生过敏", "我对花生不过敏"),
    ],
    ids=["number", "currency", "name", "negation", "strength", "person", "question", "german", "chinese"],
)
def test_model_is_not_asked_what_differs_for_certain(one: str, other: str) -> None:
    assert differ_for_certain(one, other)
    assert differ_for_certain(other, one)


def test_model_may_be_asked_about_paraphrases() -> None:
    assert not differ_for_certain("I walk to the office", "The user goes to the office on foot")
    assert not differ_for_certain("Peanuts give me a rash", "I get a rash from peanuts")
