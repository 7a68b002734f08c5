"""With every index, a filtered search returns what the filter oracle says it should."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from app.core.resources import Resources
from app.memory.filters import parse_filters
from app.memory.indexing import Indexer
from app.memory.ledger import Memory, NewMemory
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import remember
from tests.contracts.vector_index import edge_store, empty_pgvector, pgvector_store, qdrant_store
from tests.memory.filters.filter_oracle import matches
from tests.memory.filters.test_filters_against_postgres import filters
from tests.memory.namespaces import search

ADAPTERS = ["edge", "qdrant", "pgvector"]
WORDS = ["Tea at four", "TEA and cake", "I lost my keys", "Ich mag Tee", "日本 茶", "The roof leaks", "100% wool"]
DAYS = [dt.date(2024, 2, 29), dt.date(2024, 3, 1), dt.date(9999, 12, 31)]
ALLOWED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

new_memories = st.builds(
    NewMemory,
    content=st.sampled_from(WORDS),
    origin=st.builds(
        Origin, agent_id=st.sampled_from([None, "a", "A", "1"]), run_id=st.sampled_from([None, "a", "b", "*"])
    ),
    metadata=st.dictionaries(st.sampled_from(["k", "0", "a.b"]), st.sampled_from([1, True, "tea", None, []])),
    categories=st.sampled_from([None, (), ("tea",), ("Tea", "a_b")]),
    expires_on=st.sampled_from([None, *DAYS]),
    created_at=st.datetimes(dt.datetime(2024, 2, 28), dt.datetime(2024, 3, 2), timezones=st.just(dt.UTC)),
)


@pytest_asyncio.fixture(params=ADAPTERS)
async def index_resources(
    resources: Resources, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Resources]:
    database, embedder = resources.database, resources.embedder
    if request.param == "pgvector":
        await empty_pgvector(database)
    stores = {"edge": edge_store(tmp_path), "qdrant": qdrant_store(), "pgvector": pgvector_store(database)}
    store = stores[request.param]
    index = await store.index(embedder.name, embedder.dimensions)
    queue = Indexer(database, embedder, index)
    queue.start()
    yield replace(resources, index=index, index_queue=queue)
    await queue.close()
    await store.close()
    if request.param == "pgvector":
        await empty_pgvector(database)


@settings(max_examples=6, deadline=None, suppress_health_check=ALLOWED)
@given(
    given_memories=st.lists(new_memories, min_size=5, max_size=12),
    given_filters=st.lists(filters, min_size=5, max_size=10),
)
async def test_search_returns_what_the_filter_means(
    index_resources: Resources,
    namespace: Namespace,
    given_memories: list[NewMemory],
    given_filters: list[dict[str, object]],
) -> None:
    run = uuid.uuid4().hex
    new = [replace(each, origin=replace(each.origin, app_id=run)) for each in given_memories]
    await remember(index_resources, namespace, new, deduplicate=False)
    rows = await visible_rows(index_resources, namespace, run)
    for given_filter in given_filters:
        both = {"AND": [given_filter, {"app_id": run}]}
        found = await search(index_resources, namespace, "tea", filter=parse_filters(both), top_k=100)
        assert {each.memory.id for each in found} == {row.id for row in rows if matches(both, row)}, given_filter


async def visible_rows(resources: Resources, namespace: Namespace, run: str) -> Sequence[Memory]:
    async with resources.database.transaction(namespace.project_id) as tx:
        today = (await tx.execute(text("select (now() at time zone 'UTC')::date"))).scalar_one()
        rows = await tx.scalars(select(Memory).where(Memory.app_id == run))
        return [row for row in rows if row.expires_on is None or row.expires_on >= today]
