"""Postgres and the filter oracle agree on any memories and any filters."""

import datetime as dt
import json
import uuid

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.content import is_sealing
from app.core.database.database import Database
from app.memory.filters import compare_content, parse_filters, to_sql
from app.memory.ledger import Memory
from app.profiles.models import Profile
from tests.memory.filters.filter_oracle import matches

Json = dict[str, object]

MIDNIGHT = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
MICRO = dt.timedelta(microseconds=1)
DAY = dt.timedelta(days=1)
INSTANTS = [MIDNIGHT, MIDNIGHT - MICRO, MIDNIGHT + MICRO, MIDNIGHT - DAY, MIDNIGHT + DAY, MIDNIGHT + DAY - MICRO]
DAYS = ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", "9999-12-31", "0001-01-01"]
WRITTEN = [
    *DAYS,
    *(each.isoformat() for each in INSTANTS),
    "2024-03-01T00:00:00",
    "2024-03-01T00:00:00Z",
    "2024-03-01 05:30:00+05:30",
    "2024-02-29T23:59:59.999999-00:00",
    1709251200,
    1709251199.999999,
    0,
]
IDS = [uuid.UUID(int=number) for number in range(1, 9)]
WORDS = [
    "", "tea", "Tea", "TEA and cake", "100%", "100x", "a_b", "axb", "back\\slash", "it's", '"quoted"', "*", "ÉTÉ",
    "été", "ΟΔΟΣ", "οδος", "οδοσ", "İstanbul", "istanbul", "\u0131rmak", "straße", "STRASSE", "日本 茶", "🫖",
    "tea  cake", ".*",
]  # fmt: skip
PEOPLE = ["a", "A", "b", "*", "1", "ü", "'; drop table memories; --"]
KEYS = ["k", "K", "0", "a.b", "", "'", "eq"]

ALLOWED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

words = st.sampled_from(WORDS) | st.text("aAbß%_\\ É", max_size=4)
people = st.sampled_from(PEOPLE)
scalars = st.sampled_from([None, True, False, 0, 1, 1.0, -1, 0.1, 1e20, 10**20, "1", "true", "null"]) | words
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
memories: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {
        "user_id": st.none() | people,
        "agent_id": st.none() | people,
        "app_id": st.none() | people,
        "run_id": st.none() | people,
        "content": words,
        "metadata_": st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3),
        "categories": st.none() | st.lists(words, max_size=3),
        "expires_on": st.none() | st.sampled_from([dt.date.fromisoformat(day) for day in DAYS]),
        "created_at": st.sampled_from(INSTANTS),
        "updated_at": st.sampled_from(INSTANTS),
    }
)


NOTHING_BESIDE: st.SearchStrategy[Json] = st.just({})


def one(field: st.SearchStrategy[str], value: st.SearchStrategy[object]) -> st.SearchStrategy[Json]:
    return st.builds(lambda key, each: {key: each}, field, value)


def clause(value: st.SearchStrategy[object], *operators: str) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from(operators), value, min_size=1, max_size=2)


def choice(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


def lists(value: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    return st.lists(value, max_size=3)


people_or_none = people | st.none() | st.just(1)
entities = one(
    choice("user_id", "agent_id", "app_id", "run_id", "userId", "agentId", "appId", "runId", "session_id", "sessionId"),
    people_or_none | clause(people_or_none, "eq", "ne") | clause(lists(people), "in", "nin") | lists(people),
)
written = st.sampled_from(WRITTEN)
dates = one(
    choice("created_at", "updated_at", "timestamp", "expiration_date", "createdAt", "updatedAt", "expirationDate"),
    written
    | st.none()
    | clause(written, "eq", "ne", "gt", "gte", "lt", "lte")
    | clause(lists(written), "in", "nin")
    | lists(written),
)
contents = (
    one(st.just("text"), words | clause(words, "eq", "ne", "contains", "icontains") | clause(lists(words), "in", "nin"))
    | one(st.just("keywords"), words | clause(words, "contains", "icontains"))
    | one(choice("keywords_search", "keywordsSearch"), words.filter(lambda text: bool(text.strip())))
)
categories = one(
    st.just("categories"), words | lists(words) | clause(lists(words), "in", "nin") | clause(words, "contains")
)
known_ids = st.sampled_from([str(IDS[0]), str(IDS[1]).upper(), str(IDS[2]), str(uuid.UUID(int=99))])
ids = one(choice("memory_ids", "memoryIds"), known_ids | lists(known_ids) | clause(lists(known_ids), "in", "nin"))
metadata_values = json_values | clause(json_values, "eq", "ne") | clause(scalars, "contains")
metadata = one(
    st.just("metadata"), st.dictionaries(st.sampled_from(KEYS), metadata_values, min_size=1, max_size=2)
) | one(st.sampled_from([f"metadata.{key}" for key in KEYS]), metadata_values)
conditions = entities | dates | contents | categories | ids | metadata
filters = st.recursive(
    conditions,
    lambda inner: (
        st.dictionaries(choice("AND", "OR", "NOT"), st.lists(inner, min_size=1, max_size=3), min_size=1).flatmap(
            lambda logical: (entities | metadata | NOTHING_BESIDE).map(lambda beside: {**logical, **beside})
        )
        | one(st.just("NOT"), inner)
    ),
    max_leaves=6,
)


async def insert(tx: AsyncSession, project_id: uuid.UUID, given: list[Json]) -> list[Memory]:
    users = {each["user_id"] for each in given if each["user_id"] is not None}
    profiles = {user: Profile(id=uuid.uuid4(), project_id=project_id, user_id=user, name="-") for user in users}
    tx.add_all(profiles.values())
    await tx.flush()
    rows = [
        Memory(
            id=memory_id,
            project_id=project_id,
            profile_id=profiles[each["user_id"]].id if each["user_id"] in profiles else None,
            namespace="-",
            kind="fact",
            hash=b"-",
            **each,
        )
        for memory_id, each in zip(IDS, given, strict=False)
    ]
    tx.add_all(rows)
    await tx.flush()
    return rows


async def found(tx: AsyncSession, project_id: uuid.UUID, given: object) -> set[uuid.UUID]:
    condition = parse_filters(given)
    compared = await compare_content(tx, condition, project_id)
    selected = set(await tx.scalars(select(Memory.id).where(to_sql(compared))))
    if compared != condition and not is_sealing(tx, project_id):
        assert set(await tx.scalars(select(Memory.id).where(to_sql(condition)))) == selected, given
    return selected


PLAIN: Json = {
    "user_id": None,
    "agent_id": None,
    "app_id": None,
    "run_id": None,
    "content": "tea",
    "metadata_": {},
    "categories": None,
    "expires_on": None,
    "created_at": MIDNIGHT,
    "updated_at": MIDNIGHT,
}


@settings(max_examples=100, deadline=None, suppress_health_check=ALLOWED)
@example(
    given_memories=[{**PLAIN, "user_id": "a"}, PLAIN],
    given_filters=[{"user_id": {"ne": "a"}}, {"NOT": {"user_id": "a"}}],
)
@example(given_memories=[{**PLAIN, "content": "100x"}], given_filters=[{"keywords": {"contains": "100%"}}])
@example(given_memories=[{**PLAIN, "categories": ["a", "b"]}], given_filters=[{"categories": {"contains": "a,b"}}])
@example(given_memories=[{**PLAIN, "content": "ΟΔΟΣ"}], given_filters=[{"keywords": "οδος"}, {"keywords": "οδοσ"}])
@example(
    given_memories=[{**PLAIN, "metadata_": {"k": value}} for value in (12, [12], {"x": "12"}, "12", True)],
    given_filters=[{"metadata": {"k": {"contains": value}}} for value in ("1", 12, "12", True, 1)],
)
@given(
    given_memories=st.lists(memories, min_size=4, max_size=len(IDS)),
    given_filters=st.lists(filters, min_size=3, max_size=8),
)
async def test_postgres_agrees_with_the_filter_oracle(
    database: Database, project_id: uuid.UUID, given_memories: list[Json], given_filters: list[Json]
) -> None:
    async with database.transaction(project_id) as tx, tx.begin_nested() as point:
        rows = await insert(tx, project_id, given_memories)
        for each in given_filters:
            expected = {row.id for row in rows if matches(each, row)}
            assert await found(tx, project_id, each) == expected, each
        await point.rollback()


@settings(max_examples=30, deadline=None, suppress_health_check=ALLOWED)
@given(given_filters=filters)
def test_filter_is_parsed_alike_as_object_as_json_and_as_python(given_filters: Json) -> None:
    tree = parse_filters(given_filters)
    assert parse_filters(json.dumps(given_filters)) == tree
    assert parse_filters(str(given_filters)) == tree


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
async def test_day_is_a_day_in_utc_in_any_time_zone_of_the_database(
    database: Database, project_id: uuid.UUID, zone: str
) -> None:
    async with database.transaction(project_id) as tx, tx.begin_nested() as point:
        await tx.execute(select(func.set_config("timezone", zone, True)))
        await insert(tx, project_id, [PLAIN, {**PLAIN, "created_at": MIDNIGHT - MICRO}])
        assert await found(tx, project_id, {"created_at": "2024-03-01"}) == {IDS[0]}
        assert await found(tx, project_id, {"created_at": {"lte": "2024-02-29"}}) == {IDS[1]}
        await point.rollback()
