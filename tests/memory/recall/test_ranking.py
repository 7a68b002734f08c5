# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
import datetime as dt
import math
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ports import Role
from app.core.text.times.read_times import read_times
from app.memory.indexing import embedding_text, keyword_text, query_text, split_speaker
from app.memory.ledger import Kind
from app.memory.recall import FEATURES, RankingInput, compute_features
from app.memory.recall.ranking import KindWeights, RankingWeights, importance, rank, recency

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
BASE = RankingInput(UUID(int=1), 0.3, 2.0, Kind.EPISODE, Role.USER, "I went home", None, "run", NOW)
scores = st.none() | st.floats(-1, 40, allow_nan=False)
founds = st.builds(
    RankingInput,
    id=st.uuids(),
    similarity=st.none() | st.floats(-1, 1),
    bm25=scores,
    kind=st.sampled_from(Kind),
    role=st.sampled_from(Role),
    content=st.text(max_size=30),
    context=st.none() | st.text(max_size=30),
    run_id=st.none() | st.just("run"),
    created_at=st.datetimes(timezones=st.just(dt.UTC)),
    importance=st.none() | st.floats(0, 1),
)


def first(question: str, better: RankingInput, worse: RankingInput) -> bool:
    worse = worse._replace(id=uuid4())
    return rank(question, [worse, better], NOW)[0].id == better.id


def column(name: str, question: str, *found: RankingInput) -> list[float]:
    values: list[float] = compute_features(question, found, read_times(question, NOW))[:, FEATURES.index(name)].tolist()
    return values


@settings(deadline=None)  # the first text of a script compiles its patterns
@given(st.text(max_size=60), st.lists(founds, max_size=12))
def test_scores_are_sorted_probabilities_and_their_parts_add_up(question: str, found: list[RankingInput]) -> None:
    ranked = rank(question, found, NOW)
    assert sorted(each.id for each in ranked) == sorted(each.id for each in found)
    assert [each.score for each in ranked] == sorted((each.score for each in ranked), reverse=True)
    for each in ranked:
        assert 0 <= each.score <= 1
        assert each.score == pytest.approx(1 / (1 + math.exp(-sum(each.parts.values()))))


@settings(deadline=None)  # the first text of a script compiles its patterns
@given(st.text(max_size=60), st.lists(founds, max_size=12), st.integers(1, 12))
def test_limit_returns_the_first_of_the_same_order(question: str, found: list[RankingInput], limit: int) -> None:
    assert rank(question, found, NOW, limit=limit) == rank(question, found, NOW)[:limit]


@pytest.mark.parametrize(
    ("question", "better"),
    [
        ("Where?", BASE._replace(similarity=0.6)),
        ("Where?", BASE._replace(bm25=9.0)),
        ("Where?", BASE._replace(importance=1.0)),
        ("Where did Ann go?", BASE._replace(content="Ann: I went home")),
        ("Where did I go?", BASE._replace(role=Role.USER)),
    ],
)
def test_better_answer_ranks_first(question: str, better: RankingInput) -> None:
    assert first(question, better, BASE._replace(role=Role.ASSISTANT))


def test_memory_of_the_month_in_the_question_ranks_first() -> None:
    assert first("What was in May?", BASE._replace(created_at=NOW.replace(month=5, year=2023)), BASE)


@pytest.mark.parametrize(
    "question",
    [
        "What did I do last week?",
        "Was habe ich letzte Woche gemacht?",
        "¿Qué hice la semana pasada?",
        "Geçen hafta ne yaptım?",
        "我上周做了什么？",
        "मैंने पिछले हफ़्ते क्या किया?",
        "Что я делал на прошлой неделе?",
        "ماذا فعلت الأسبوع الماضي؟",
    ],
    ids=["en", "de", "es", "tr", "zh", "hi", "ru", "ar"],
)
def test_memory_of_the_time_in_the_question_ranks_first(question: str) -> None:
    assert first(question, BASE._replace(created_at=NOW - dt.timedelta(days=8)), BASE)


@pytest.mark.parametrize(
    "question",
    [
        "Wie heißt mein Hund?",
        "¿Dónde vivo?",
        "Köpeğimin adı ne?",
        "我住在哪里？",
        "मैं कहाँ रहता हूँ?",
        "Где я живу?",
        "ما اسم كلبي؟",
    ],
    ids=["de", "es", "tr", "zh", "hi", "ru", "ar"],
)
def test_memory_of_the_user_ranks_first_in_every_language(question: str) -> None:
    assert first(question, BASE, BASE._replace(role=Role.ASSISTANT))
    fact = BASE._replace(kind=Kind.FACT, role=Role.ASSISTANT)
    assert first(question, fact._replace(content="Ich wohne in Rom"), fact._replace(content="Anna wohnt in Rom"))


def test_memory_of_a_person_ranks_first_in_another_form_of_the_name() -> None:
    ours, other = [BASE._replace(content=f"{name}: Я дома") for name in ("Анна", "Пётр")]
    assert first("Как зовут собаку Анны?", ours, other)


def test_memory_before_the_event_in_the_question_ranks_first() -> None:
    old = BASE._replace(id=UUID(int=2), content="I worked in a bakery", created_at=NOW - dt.timedelta(days=400))
    new = BASE._replace(id=UUID(int=3), content="I work for a bank", created_at=NOW - dt.timedelta(days=90))
    moved = BASE._replace(content="I moved to Oslo", similarity=0.1, created_at=NOW - dt.timedelta(days=200))
    for question, best in (("Where did I work before I moved to Oslo?", old), ("And after I moved to Oslo?", new)):
        assert rank(question, [new, old, moved], NOW)[0].id == best.id


def test_question_of_a_time_alone_fits_a_memory_of_that_time() -> None:
    told = BASE._replace(content="I had sushi for lunch", created_at=NOW - dt.timedelta(days=1))
    assert [each.fits for each in rank("What did I do yesterday?", [told], NOW)] == [True]


def test_newer_of_two_equal_memories_ranks_first() -> None:
    assert first("Where?", BASE, BASE._replace(created_at=NOW - dt.timedelta(days=90)))


def test_answer_ranks_before_a_question() -> None:
    assert first("Where?", BASE, BASE._replace(content="Did you go home?"))


def test_neighbours_are_linked_by_their_context() -> None:
    question = BASE._replace(content="Where to?", similarity=0.7)
    answer = BASE._replace(content="Home", context="Where to?", similarity=0.2)
    assert column("similarity_before", "?", question, answer) == [0.0, 0.7]
    assert column("similarity_after", "?", question, answer) == [0.2, 0.0]


def test_turns_of_another_run_are_not_neighbours() -> None:
    question = BASE._replace(content="Where to?", similarity=0.7, run_id="other")
    answer = BASE._replace(content="Home", context="Where to?")
    assert column("similarity_before", "?", question, answer) == [0.0, 0.0]


def test_words_only_candidate_is_as_similar_as_the_least_similar() -> None:
    assert column("similarity", "?", BASE, BASE._replace(similarity=None)) == [0.3, 0.3]


def test_verb_may_is_not_a_month() -> None:
    assert column("time", "What may I eat?", BASE._replace(created_at=NOW.replace(month=5))) == [0.0]


def test_explicit_importance_overrides_the_role() -> None:
    assert importance(BASE._replace(role=Role.SYSTEM, importance=0.9)) == 0.9
    assert importance(BASE) > importance(BASE._replace(role=Role.ASSISTANT))
    assert importance(BASE._replace(kind=Kind.FACT)) > importance(BASE)


@pytest.mark.parametrize(("days", "expected"), [(0, 1.0), (30, 0.5), (60, 0.25), (-10, 1.0)])
def test_recency_halves_with_each_half_life(days: int, expected: float) -> None:
    assert recency(NOW - dt.timedelta(days=days), NOW, 30) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("question", "expected"),
    [("Where did I go?", [1, 0, 0]), ("What did you say?", [0, 1, 0]), ("Where is Ann?", [0, 0, 1]), ("Who?", [0] * 3)],
)
def test_question_is_about_the_people_it_names_or_addresses(question: str, expected: list[float]) -> None:
    user, assistant = BASE, BASE._replace(role=Role.ASSISTANT)
    assert column("subject", question, user, assistant, BASE._replace(content="Ann: home")) == expected


def test_zero_weight_disables_a_part() -> None:
    weights = RankingWeights(importance=0, recency=0)
    parts = rank("Where?", [BASE._replace(importance=1.0)], NOW, weights)[0].parts
    assert parts["importance"] == parts["recency"] == 0


def test_weights_of_another_length_are_rejected() -> None:
    with pytest.raises(ValueError, match="one for each of similarity"):
        KindWeights(0, (1.0,))


def test_near_memory_is_much_likelier_than_an_unrelated_one() -> None:
    old = NOW - dt.timedelta(days=900)
    near = BASE._replace(kind=Kind.FACT, similarity=0.6, bm25=None, created_at=old)
    unrelated = near._replace(similarity=0.05)
    best, worst = rank("Where?", [near, unrelated], NOW)
    assert (best.id, best.fits, worst.fits) == (near.id, True, False)
    assert best.score > 10 * worst.score


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Ann: I moved", ("Ann", "I moved")),
        ("I moved", (None, "I moved")),
        ("https://a.example", (None, "https://a.example")),
        ("12:30 is fine", (None, "12:30 is fine")),
    ],
)
def test_speaker_is_the_name_before_the_colon(content: str, expected: tuple[str | None, str]) -> None:
    assert split_speaker(content) == expected


def test_embedding_text_omits_speaker_and_context() -> None:
    assert embedding_text("Ann: I moved") == "I moved"


def test_keyword_text_includes_speaker_context_and_date() -> None:
    assert keyword_text("Ann: I moved", "Bob: Any news?", NOW) == "1 March 2024\nBob: Any news?\nAnn: I moved"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When did Ann move?", "When did I move?"),
        ("What is Ann's job?", "What is my job?"),
        ("Has New York changed?", "Has New York changed?"),
        ("where did i park", "where did i park"),
    ],
)
def test_query_text_replaces_the_subject_by_the_first_person(question: str, expected: str) -> None:
    assert query_text(question) == expected
