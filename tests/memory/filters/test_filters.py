"""How filters are parsed, which errors they raise, and which entities they are about."""

import datetime as dt
import uuid

import pytest
from sqlalchemy.dialects import postgresql

from app.core.errors import BadRequest
from app.memory.filters import entity_scope, filter_cost, has_positive_entity, parse_filters
from app.memory.filters.tree import (
    And,
    CategoryContains,
    Compare,
    ContentContains,
    Filter,
    InCategory,
    MetadataContains,
    MetadataIs,
    Not,
    OneOf,
    Or,
    Present,
    to_sql,
)

ANN = OneOf("user_id", ("ann",))
BOT = OneOf("agent_id", ("bot",))
ID = uuid.UUID("6f1f5b4e-1c1f-4c57-9d0c-0d6f5e1a2b3c")
FIRST = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
LAST = dt.datetime(2024, 3, 1, 23, 59, 59, 999999, tzinfo=dt.UTC)
NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
DAY = dt.date(2024, 3, 1)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (None, And(())),
        ({}, And(())),
        ("{}", And(())),
        ({"user_id": "ann"}, ANN),
        ({"user_id": "ann", "agent_id": "bot"}, And((ANN, BOT))),
        ({"AND": [{"user_id": "ann"}, {"agent_id": "bot"}]}, And((ANN, BOT))),
        ({"OR": [{"user_id": "ann"}, {"agent_id": "bot"}]}, Or((ANN, BOT))),
        ({"NOT": {"user_id": "ann"}}, Not(ANN)),
        ({"NOT": [{"user_id": "ann"}, {"agent_id": "bot"}]}, Not(Or((ANN, BOT)))),
        ({"NOT": {"user_id": "ann", "agent_id": "bot"}}, Not(And((ANN, BOT)))),
        ({"NOT": {"OR": [{"user_id": "ann"}, {"agent_id": "bot"}]}}, Not(Or((ANN, BOT)))),
        ({"NOT": {"NOT": {"user_id": "ann"}}}, ANN),
        ({"AND": [{"user_id": "ann"}], "OR": [{"agent_id": "bot"}]}, And((ANN, Or((BOT,))))),
        ({"OR": [{"AND": [{"user_id": "ann"}, {"agent_id": "bot"}]}, {"user_id": "ann"}]}, Or((And((ANN, BOT)), ANN))),
        ('{"user_id": "ann"}', ANN),
        ("{'user_id': 'ann'}", ANN),
        ("{'metadata': {'done': True, 'by': None}}", And((MetadataIs("done", "true"), MetadataIs("by", "null")))),
    ],
)
def test_logical_keys_are_parsed_as_they_are_nested(raw: object, read: Filter) -> None:
    assert parse_filters(raw) == read


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("ann", ANN),
        (7, OneOf("user_id", ("7",))),
        ({"eq": "ann"}, ANN),
        ({"ne": "ann"}, Not(ANN)),
        ({"in": ["ann", "bob"]}, OneOf("user_id", ("ann", "bob"))),
        (["ann", "bob"], OneOf("user_id", ("ann", "bob"))),
        ({"nin": ["ann", "bob"]}, Not(OneOf("user_id", ("ann", "bob")))),
        ({"in": []}, OneOf("user_id", ())),
        ("*", Present("user_id")),
        ({"eq": "*"}, Present("user_id")),
        ({"in": ["ann", "*"]}, Present("user_id")),
        ({"ne": "*"}, Not(Present("user_id"))),
        (None, Not(Present("user_id"))),
        ({"ne": None}, Present("user_id")),
        ({"ne": "ann", "in": ["bob"]}, And((Not(ANN), OneOf("user_id", ("bob",))))),
    ],
)
def test_entity_conditions_name_match_or_exclude(given: object, read: Filter) -> None:
    assert parse_filters({"user_id": given}) == read


@pytest.mark.parametrize(
    ("alias", "field"),
    [
        ("userId", "user_id"),
        ("agentId", "agent_id"),
        ("appId", "app_id"),
        ("runId", "run_id"),
        ("session_id", "run_id"),
        ("sessionId", "run_id"),
        ("memoryIds", "memory_ids"),
        ("createdAt", "created_at"),
        ("updatedAt", "updated_at"),
        ("expirationDate", "expiration_date"),
        ("keywordsSearch", "keywords_search"),
    ],
)
def test_aliases_of_the_typescript_client_mean_the_same(alias: str, field: str) -> None:
    value = {"memory_ids": str(ID), "keywords_search": "tea"}.get(field, "2024-03-01")
    assert parse_filters({alias: value}) == parse_filters({field: value})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2024-03-01", And((Compare("created_at", "gte", FIRST), Compare("created_at", "lte", LAST)))),
        ({"eq": "2024-03-01"}, And((Compare("created_at", "gte", FIRST), Compare("created_at", "lte", LAST)))),
        ({"ne": "2024-03-01"}, Not(And((Compare("created_at", "gte", FIRST), Compare("created_at", "lte", LAST))))),
        ({"gt": "2024-03-01"}, Compare("created_at", "gt", LAST)),
        ({"gte": "2024-03-01"}, Compare("created_at", "gte", FIRST)),
        ({"lt": "2024-03-01"}, Compare("created_at", "lt", FIRST)),
        ({"lte": "2024-03-01"}, Compare("created_at", "lte", LAST)),
        ({"gt": "2024-03-01T12:00:00Z"}, Compare("created_at", "gt", NOON)),
        ({"gt": "2024-03-01T12:00:00"}, Compare("created_at", "gt", NOON)),
        ({"gt": "2024-03-01T13:00:00+01:00"}, Compare("created_at", "gt", NOON)),
        ({"gt": 1709294400}, Compare("created_at", "gt", NOON)),
        ({"gt": 1709294400.5}, Compare("created_at", "gt", NOON + dt.timedelta(seconds=0.5))),
        ({"in": []}, Or(())),
        (
            {"gte": "2024-03-01", "lt": "2024-03-01T12:00:00Z"},
            And((Compare("created_at", "gte", FIRST), Compare("created_at", "lt", NOON))),
        ),
    ],
)
def test_dates_are_days_times_or_seconds(given: object, read: Filter) -> None:
    assert parse_filters({"created_at": given}) == read


@pytest.mark.parametrize("when", ["2024-03-01", "2024-03-01T23:00:00Z", "2024-03-02T01:00:00+02:00", 1709294400])
def test_expiration_date_is_compared_by_the_day_in_utc(when: object) -> None:
    assert parse_filters({"expiration_date": {"gt": when}}) == Compare("expiration_date", "gt", DAY)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ({"expiration_date": None}, Not(Present("expiration_date"))),
        ({"expiration_date": {"ne": None}}, Present("expiration_date")),
        ({"text": "Tea"}, OneOf("text", ("Tea",))),
        ({"text": {"ne": "Tea"}}, Not(OneOf("text", ("Tea",)))),
        ({"text": {"in": ["Tea"]}}, OneOf("text", ("Tea",))),
        ({"text": {"contains": "Tea"}}, ContentContains("Tea", any_case=False)),
        ({"text": {"icontains": "Tea"}}, ContentContains("Tea", any_case=True)),
        ({"keywords": "Tea"}, ContentContains("Tea", any_case=True)),
        ({"keywords": {"contains": "Tea"}}, ContentContains("Tea", any_case=False)),
        ({"keywords": {"icontains": "Tea"}}, ContentContains("Tea", any_case=True)),
        (
            {"keywords_search": " green  tea "},
            And((ContentContains("green", any_case=True), ContentContains("tea", any_case=True))),
        ),
        ({"categories": {"in": ["food", "work"]}}, InCategory(("food", "work"))),
        ({"categories": ["food"]}, InCategory(("food",))),
        ({"categories": "food"}, InCategory(("food",))),
        ({"categories": {"nin": ["food"]}}, Not(InCategory(("food",)))),
        ({"categories": {"contains": "foo"}}, CategoryContains("foo")),
        ({"memory_ids": [str(ID)]}, OneOf("memory_ids", (ID,))),
        ({"memory_ids": {"in": [str(ID).upper()]}}, OneOf("memory_ids", (ID,))),
        ({"memory_ids": str(ID)}, OneOf("memory_ids", (ID,))),
        ({"replaced_by": [str(ID)]}, OneOf("replaced_by", (ID,))),
        ({"standing": True}, OneOf("standing", (True,))),
        ({"source": {"ne": "import"}}, Not(OneOf("source", ("import",)))),
        ({"kind": "fact"}, OneOf("kind", ("fact",))),
        ({"lifecycle_state": {"nin": ["active"]}}, Not(OneOf("lifecycle_state", ("active",)))),
        ({"metadata": {"k": "v"}}, MetadataIs("k", '"v"')),
        ({"metadata": {"k": {"eq": 1}}}, MetadataIs("k", "1")),
        ({"metadata": {"k": {"ne": True}}}, Not(MetadataIs("k", "true"))),
        ({"metadata": {"k": {"contains": "v"}}}, MetadataContains("k", "v")),
        ({"metadata": {"k": [1]}}, MetadataIs("k", "[1]")),
        ({"metadata": {"k": {"city": "Ulm"}}}, MetadataIs("k", '{"city": "Ulm"}')),
        ({"metadata": {"a": 1, "b": 2}}, And((MetadataIs("a", "1"), MetadataIs("b", "2")))),
        ({"metadata": "{'k': 'v'}"}, MetadataIs("k", '"v"')),
        ({"metadata.k": "v"}, MetadataIs("k", '"v"')),
        ({"metadata.k.l": {"contains": 1}}, MetadataContains("k.l", 1)),
    ],
)
def test_field_conditions_depend_on_the_field(raw: object, read: Filter) -> None:
    assert parse_filters(raw) == read


@pytest.mark.parametrize(
    "raw",
    [
        {"user_id": "said'--"},
        {"text": {"contains": "said'--"}},
        {"text": {"icontains": "said'--"}},
        {"categories": {"in": ["said'--"], "contains": "said'--"}},
        {"metadata": {"said'--": "said'--"}},
        {"metadata": {"said'--": {"contains": "said'--"}}},
    ],
)
def test_statement_contains_no_text_of_the_filter(raw: object) -> None:
    assert "said" not in str(to_sql(parse_filters(raw)).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


DATE_SENTENCE = (
    "created_at with `gt` must be a date such as 2026-01-31, a time such as 2026-01-31T09:30:00Z, or seconds"
    " since 1970."
)
OBJECT_SENTENCE = 'filters must be objects with at least one condition, such as {"user_id": "alice"}.'
UNREADABLE = 'filters is not valid JSON. Send an object such as {"user_id": "alice"}.'


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"colour": "red"},
            "Unknown filter field 'colour'. Use AND, OR, NOT, user_id, agent_id, app_id, run_id, created_at,"
            " updated_at, timestamp, expiration_date, text, categories, keywords, keywords_search, kind,"
            " lifecycle_state, memory_ids, replaced_by, standing, source, door and metadata;"
            " put keys of your own under metadata.",
        ),
        ([], OBJECT_SENTENCE),
        (7, OBJECT_SENTENCE),
        ({"OR": [{"user_id": "ann"}, {}]}, OBJECT_SENTENCE),
        ({"NOT": ["ann"]}, OBJECT_SENTENCE),
        ({"OR": []}, "OR must be a list with at least one condition."),
        ({"AND": {"user_id": "ann"}}, "AND must be a list with at least one condition."),
        ({"NOT": []}, "NOT must be an object or a list with at least one condition."),
        ({"NOT": "ann"}, "NOT must be an object or a list with at least one condition."),
        ("", UNREADABLE),
        ("everything", UNREADABLE),
        ("__import__('os').getcwd()", UNREADABLE),
        ("[" * 50_000, UNREADABLE),
        ("-" * 50_000 + "1", UNREADABLE),
        ("x" * 100_001, "filters can have at most 100000 characters."),
        (
            {"user_id": {">=": "ann"}},
            "user_id does not accept the operator '>='. It accepts a plain value, eq, ne, in and nin.",
        ),
        ({"user_id": {}}, "user_id does not accept an empty object. It accepts a plain value, eq, ne, in and nin."),
        ({"user_id": {"in": "ann"}}, "user_id with `in` must be a list."),
        ({"user_id": {"in": [None]}}, "user_id with `in` must be text."),
        ({"user_id": True}, "user_id with `eq` must be text."),
        (
            {"userId": {"gt": "a"}},
            "userId does not accept the operator 'gt'. It accepts a plain value, eq, ne, in and nin.",
        ),
        (
            {"created_at": {"contains": "2024"}},
            "created_at does not accept the operator 'contains'."
            " It accepts a plain value, eq, ne, gt, gte, lt, lte, in and nin.",
        ),
        ({"created_at": {"in": "2024-03-01"}}, "created_at with `in` must be a list."),
        ({"created_at": {"gt": "yesterday"}}, DATE_SENTENCE),
        ({"created_at": {"gt": "20240301"}}, DATE_SENTENCE),
        ({"created_at": {"gt": "2024-02-30"}}, DATE_SENTENCE),
        ({"created_at": {"gt": 1e18}}, DATE_SENTENCE),
        ({"created_at": {"gt": True}}, DATE_SENTENCE),
        ({"created_at": {"gt": None}}, DATE_SENTENCE),
        ({"created_at": {"gt": "0001-01-01T00:00:00+14:00"}}, DATE_SENTENCE),
        (
            {"categories": {"eq": "food"}},
            "categories does not accept the operator 'eq'. It accepts a plain value, in, nin and contains.",
        ),
        (
            {"categories": {"ne": "food"}},
            "categories does not accept the operator 'ne'. It accepts a plain value, in, nin and contains.",
        ),
        ({"categories": {"contains": ["food"]}}, "categories with `contains` must be text."),
        (
            {"keywords": {"eq": "tea"}},
            "keywords does not accept the operator 'eq'. It accepts a plain value, contains and icontains.",
        ),
        ({"keywords_search": "  "}, "keywords_search must contain at least one word."),
        ({"standing": "yes"}, "standing with `eq` must be true or false."),
        ({"kind": "fct"}, "kind cannot be 'fct'. Use fact, episode and summary."),
        (
            {"lifecycle_state": {"in": ["active", "*"]}},
            "lifecycle_state cannot be '*'. Use active, superseded and archived.",
        ),
        ({"memory_ids": ["m1"]}, "memory_ids must contain ids of memories, which are UUIDs."),
        ({"metadata": {}}, 'metadata must be an object with at least one key, such as {"topic": "food"}.'),
        ({"metadata": "k"}, 'metadata is not valid JSON. Send an object such as {"topic": "food"}.'),
        *(
            (
                {"metadata": {"k": {op: [1]}}},
                f"metadata.k does not accept the operator '{op}'. It accepts a plain value, eq, ne and contains.",
            )
            for op in ("in", "nin", "gt", "gte", "lt", "lte", "icontains")
        ),
        (
            {"metadata.k": {"eq": 1, "like": 2}},
            "metadata.k does not accept the operator 'like'. It accepts a plain value, eq, ne and contains.",
        ),
        (
            {"metadata": {"k": {"contains": [1]}}},
            "metadata.k with `contains` must be text, a number, true, false or null.",
        ),
    ],
)
def test_invalid_filter_is_rejected_with_the_reason(raw: object, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_filters(raw)
    assert refusal.value.detail == sentence


def nested(levels: int) -> object:
    found: object = {"user_id": "ann"}
    for _ in range(levels):
        found = {"AND": [found]}
    return found


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"user_id": "a\0"}, "user_id must be valid text without NUL, of at most 10000 characters."),
        ({"text": {"contains": "\ud83d"}}, "text.contains must be valid text without NUL"),
        ({"metadata": {"k": ["a" * 10_001]}}, "metadata.k must be valid text without NUL"),
        ({"metadata": {"a\0": 1}}, "A key of metadata must be valid text without NUL"),
        ({"metadata": {"k": float("nan")}}, "metadata.k must be a finite number."),
        ('{"metadata": {"k": Infinity}}', "metadata.k must be a finite number."),
        ("{'metadata': {'k': (1, 2)}}", "metadata.k contains a value that does not exist in JSON."),
        ({"metadata": "{'k': b'1'}"}, "metadata.k contains a value that does not exist in JSON."),
        ({"metadata": {1: 1}}, "Every key in metadata must be a string."),
        (nested(12), "filters can nest lists and objects at most 24 levels deep."),
        (nested(20_000), "filters can nest lists and objects at most 24 levels deep."),
        ({"memory_ids": [str(ID)] * 10_000}, "filters can contain at most 10000 values."),
        ({"OR": [{"user_id": "ann"}] * 501}, "filters can contain at most 500 conditions."),
        ({"keywords_search": "a " * 501}, "filters can contain at most 500 conditions."),
    ],
    ids=lambda value: None if isinstance(value, str) else "raw",
)
def test_filter_that_is_too_large_or_not_storable_is_rejected(raw: object, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_filters(raw)
    assert refusal.value.detail.startswith(sentence)


def test_filters_up_to_the_limits_are_accepted() -> None:
    assert parse_filters(nested(11)) == ANN
    assert parse_filters({"OR": [{"user_id": "ann"}] * 500}) == Or((ANN,) * 500)
    assert parse_filters({"user_id": "a" * 10_000}) == OneOf("user_id", ("a" * 10_000,))


@pytest.mark.parametrize(
    ("condition", "cost"),
    [
        ({"user_id": "ann"}, 1),
        ({"created_at": {"gte": "2024-03-01", "lt": "2024-03-02"}}, 2),
        ({"user_id": {"in": ["ann"] * 250}}, 3),
        ({"categories": ["food"] * 100}, 2),
        ({"NOT": {"text": {"contains": "tea"}}}, 2),
        ({"metadata": {"a": 1, "b": {"contains": "c"}}}, 3),
        ({"OR": [{"keywords": "tea"}, {"keywords_search": "green tea"}]}, 30),
    ],
)
def test_text_conditions_cost_more_than_others(condition: object, cost: int) -> None:
    assert filter_cost(parse_filters(condition)) == cost


def test_filter_that_costs_too_much_is_rejected_with_what_counts() -> None:
    parse_filters({"OR": [{"text": {"icontains": f"tea {number}"}} for number in range(50)]})
    with pytest.raises(BadRequest) as refusal:
        parse_filters({"OR": [{"text": {"icontains": f"tea {number}"}} for number in range(51)]})
    assert refusal.value.reason == "filter_too_complex"
    assert refusal.value.detail == (
        "These filters are too complex: they count 510 points, and at most 500 are allowed. A condition counts 1 point,"
        " `contains` 2, `icontains` and each keyword 10, and a list 1 more for every 100 values. Use fewer conditions."
    )


def test_error_shortens_a_long_key() -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_filters({"x" * 5000: 1})
    assert len(refusal.value.detail) < 400


@pytest.mark.parametrize(
    ("raw", "users"),
    [
        ({"user_id": "ann"}, {"ann"}),
        ({"user_id": {"in": ["ann", "bob"]}}, {"ann", "bob"}),
        ({"user_id": {"in": []}}, set()),
        ({"user_id": "*"}, None),
        ({"user_id": None}, None),
        ({"user_id": {"ne": "ann"}}, None),
        ({"NOT": {"user_id": "ann"}}, None),
        ({"NOT": {"NOT": {"user_id": "ann"}}}, {"ann"}),
        ({"agent_id": "bot"}, None),
        ({}, None),
        ({"AND": [{"user_id": "ann"}, {"agent_id": "bot"}]}, {"ann"}),
        ({"AND": [{"user_id": ["ann", "bob"]}, {"user_id": ["bob", "cy"]}]}, {"bob"}),
        ({"AND": [{"user_id": "ann"}, {"user_id": "*"}]}, {"ann"}),
        ({"OR": [{"user_id": "ann"}, {"user_id": "bob"}]}, {"ann", "bob"}),
        ({"OR": [{"user_id": "ann"}, {"agent_id": "bot"}]}, None),
        ({"user_id": "ann", "OR": [{"keywords": "tea"}, {"keywords": "cake"}]}, {"ann"}),
    ],
)
def test_entity_scope_holds_the_possible_users(raw: object, users: set[str] | None) -> None:
    assert entity_scope(parse_filters(raw))["user_id"] == users


def test_entity_scope_restricts_each_field_separately() -> None:
    scope = entity_scope(parse_filters({"agent_id": "bot", "appId": "shop", "session_id": "r1"}))
    assert scope == {
        "user_id": None,
        "agent_id": frozenset({"bot"}),
        "app_id": frozenset({"shop"}),
        "run_id": frozenset({"r1"}),
    }


@pytest.mark.parametrize(
    ("raw", "positive"),
    [
        ({"user_id": "ann"}, True),
        ({"run_id": "*"}, True),
        ({"agent_id": {"in": ["bot"]}}, True),
        ({"AND": [{"keywords": "tea"}, {"app_id": "shop"}]}, True),
        ({"OR": [{"user_id": "ann"}, {"run_id": "r1"}]}, True),
        ({"NOT": {"NOT": {"user_id": "ann"}}}, True),
        ({}, False),
        ({"keywords": "tea"}, False),
        ({"memory_ids": [str(ID)]}, False),
        ({"user_id": {"ne": "ann"}}, False),
        ({"user_id": None}, False),
        ({"NOT": {"user_id": "ann"}}, False),
        ({"OR": [{"user_id": "ann"}, {"keywords": "tea"}]}, False),
        ({"expiration_date": {"ne": None}}, False),
    ],
)
def test_has_positive_entity_if_every_match_belongs_to_a_named_entity(raw: object, positive: bool) -> None:
    assert has_positive_entity(parse_filters(raw)) is positive
