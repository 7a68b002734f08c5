import datetime as dt
from uuid import UUID, uuid4

import pytest

from app.core.ports import Role
from app.memory.ledger import Kind
from app.memory.recall import RankingInput
from app.memory.recall.ranking import rank
from app.memory.recall.rivals import LOSS

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
PROFILE = UUID(int=7)
OLD = RankingInput(
    UUID(int=1),
    0.6,
    4.0,
    Kind.EPISODE,
    Role.USER,
    "I work at Alder. We make chairs and tables there.",
    None,
    None,
    NOW - dt.timedelta(days=200),
    profile_id=PROFILE,
)
NEW = OLD._replace(id=UUID(int=2), similarity=0.4, bm25=2.0, content="I work at Birch", created_at=NOW)
QUESTION = "Where do I work?"


def parts(found: list[RankingInput], memory: UUID, question: str = QUESTION) -> dict[str, float]:
    return next(each.parts for each in rank(question, found, NOW) if each.id == memory)


def test_newest_of_two_rivals_ranks_first() -> None:
    assert rank(QUESTION, [OLD], NOW)[0].score > rank(QUESTION, [NEW], NOW)[0].score
    first, second = rank(QUESTION, [OLD, NEW], NOW)
    assert (first.id, second.id) == (NEW.id, OLD.id)
    assert first.parts["rivals"] > 0 > second.parts["rivals"]
    assert sum(first.parts.values()) > sum(second.parts.values())


def test_older_rival_loses_more_than_recency_gives() -> None:
    better = NEW._replace(similarity=0.7)
    assert parts([OLD._replace(similarity=0.69), better], OLD.id)["rivals"] < -0.3
    assert LOSS > 0.3


@pytest.mark.parametrize(
    ("old", "new", "question"),
    [
        ("I live in Porto and I love the sea", "I moved to Lisbon", "Where do I live?"),
        ("My email is ann@example.com, write to me there any time", "My email is a@birch.example", "What is my email?"),
        ("Ann is married to Bob. They have a dog.", "Ann is married to Carl", "Who is Ann married to?"),
    ],
    ids=["place", "email", "spouse"],
)
def test_rivals_are_known_by_their_subject_and_relation(old: str, new: str, question: str) -> None:
    found = [OLD._replace(content=old), NEW._replace(content=new)]
    assert rank(question, found, NOW)[0].id == NEW.id


@pytest.mark.parametrize(
    "other",
    [
        OLD._replace(content="I like Alder. We make chairs."),
        OLD._replace(content="My sister works at Alder. They make chairs."),
        OLD._replace(content="I work at Birch. We make chairs."),
        OLD._replace(role=Role.ASSISTANT),
        OLD._replace(profile_id=uuid4()),
        OLD._replace(agent_id="another agent"),
        OLD._replace(created_at=NOW),
        OLD._replace(content="Do I work at Alder?"),
        OLD._replace(content="I would like to work at Alder."),
    ],
    ids=["relation", "subject", "value", "role", "profile", "agent", "time", "question", "wish"],
)
def test_others_are_no_rivals(other: RankingInput) -> None:
    assert parts([other, NEW], NEW.id)["rivals"] == 0
    assert parts([other, NEW], other.id)["rivals"] == 0


def test_people_without_a_profile_are_told_apart_by_their_run() -> None:
    found = [OLD._replace(profile_id=None, run_id="one"), NEW._replace(profile_id=None, run_id="two")]
    assert parts(found, NEW.id)["rivals"] == 0
