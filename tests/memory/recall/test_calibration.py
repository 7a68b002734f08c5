"""Whether anything fits a question, and what is returned when the client names no threshold."""

import datetime as dt
import uuid

import pytest

from app.core.ports import Role
from app.core.resources import Resources
from app.memory.ledger import Kind
from app.memory.namespace import Namespace
from app.memory.recall import RankingInput, rank
from tests.memory.namespaces import add_memories, contents, search

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
OLD = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def memory(text: str, similarity: float, bm25: float | None = None) -> RankingInput:
    return RankingInput(uuid.uuid4(), similarity, bm25, Kind.EPISODE, Role.USER, text, None, None, OLD)


def fitting(question: str, *found: RankingInput) -> list[str]:
    texts = {each.id: each.content for each in found}
    return [texts[each.id] for each in rank(question, found, NOW) if each.fits]


@pytest.mark.parametrize(
    ("question", "text", "similarity", "fits"),
    [
        ("What tea do I like?", "I like green tea", 0.6, True),
        ("Where does Ann work?", "Ann: I started at the bakery in May, good work", 0.5, True),
        ("Where does Zoe work?", "Ann: I started at the bakery in May, good work", 0.3, False),
        ("What is Anna allergic to?", "I am allergic to peanuts.", 0.5, True),
        ("What may I not eat?", "I am allergic to peanuts.", 0.37, True),
        ("What is the licence plate of my car?", "I like green tea", 0.1, False),
        ("What do you know about me?", "I like green tea", 0.3, True),
        ("mongod", "mongodb raw driver: Uses the raw driver", 0.5, True),
        ("How should I structure my ReactJS components?", "react: Frontend is React 18 with Tailwind", 0.4, True),
        ("Wo arbeitet die Schwester von Anna heute?", "Anna's sister works at the bakery", 0.35, True),
    ],
    ids=[
        "own words",
        "person",
        "another person",
        "the user by name",
        "other words",
        "never told",
        "no words",
        "typo",
        "beginning",
        "other language",
    ],
)
def test_only_a_memory_that_fits_the_question_is_returned(
    question: str, text: str, similarity: float, *, fits: bool
) -> None:
    found = memory(text, similarity, 2.0 if similarity > 0.4 else None)
    assert fitting(question, found) == ([text] if fits else [])


OPEN_CHOICE = "message queue: Weighing Kafka versus NATS for the new service"


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        ("What is our message queue for the new service?", False),
        ("Should we take Kafka or NATS for the new service?", False),
        ("Which message queue are we considering?", True),
        ("Have we decided on a message queue?", True),
        ("Welche message queue hat der neue service?", True),
    ],
    ids=["the outcome", "advice", "the options", "the state", "other language"],
)
def test_memory_that_leaves_a_choice_open_fits_questions_about_the_choice_only(question: str, *, fits: bool) -> None:
    [found] = rank(question, [memory(OPEN_CHOICE, 0.6, 4.0)], NOW)
    assert (found.fits, found.undecided) == (fits, not fits)


def test_memory_that_leaves_a_choice_open_hides_no_other() -> None:
    decided = "The message queue of the new service is NATS"
    assert fitting("What is our message queue?", memory(OPEN_CHOICE, 0.7, 5.0), memory(decided, 0.6, 4.0)) == [decided]


def test_memory_far_weaker_than_the_best_does_not_fit() -> None:
    best, rival, weak = memory("I like green tea", 0.8, 5.0), memory("Tea is grown here", 0.7, 4.0), memory("Hm", 0.1)
    assert fitting("What tea do I like?", best, rival, weak) == ["I like green tea", "Tea is grown here"]


def test_best_of_many_is_likely_and_never_certain() -> None:
    found = [memory(f"I like green tea number {n}", 1.0, 30.0) for n in range(50)]
    scores = [each.score for each in rank("What green tea do I like?", found, NOW)]
    assert 0.1 < scores[0] < 1.0
    assert max(scores) < 0.9999


def test_score_of_a_memory_does_not_depend_on_the_limit() -> None:
    found = [memory(text, 0.5, 2.0) for text in ("I like tea", "Tea for two", "My tea is cold")]
    assert rank("Which tea?", found, NOW, limit=1) == rank("Which tea?", found, NOW)[:1]


async def test_recall_without_a_threshold_returns_what_fits(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, "I like green tea", "The train to Lisbon leaves at noon")
    assert contents(await search(resources, namespace, "Which tea do I like?", threshold=None)) == ["I like green tea"]
    assert await search(resources, namespace, "What is the name of Peter's wife?", threshold=None) == []
    everything = await search(resources, namespace, "What is the name of Peter's wife?", threshold=0)
    assert [each.fits for each in everything] == [False, False]


async def test_memory_that_leaves_a_choice_open_is_returned_on_request(
    resources: Resources, namespace: Namespace
) -> None:
    await add_memories(resources, namespace, OPEN_CHOICE)
    question = "What is our message queue for the new service?"
    assert await search(resources, namespace, question, threshold=None) == []
    for accepted in ({"threshold": 0.1}, {"threshold": None, "with_undecided": True}):
        assert contents(await search(resources, namespace, question, **accepted)) == [OPEN_CHOICE]
