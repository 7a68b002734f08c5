"""Vectors in collections of a Chroma server. The words of the memories are in Postgres.

A search compares by cosine through the graph of the collection, which is approximate. `EF_SEARCH` decides how much of
the graph it reads: docs/how-to/chroma.md has the recall that was measured.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal, TypeVar
from uuid import UUID

import httpx
import numpy as np
from chromadb.api import AsyncServerAPI
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.api.types import GetResult, Metadata
from chromadb.config import Settings, System
from chromadb.errors import ChromaError, NotFoundError
from chromadb.types import Where
from overrides import override

from app.adapters.vectors.candidates import OTHER_EMBEDDER, Scores, owner_of, owner_value, owner_values
from app.adapters.vectors.split_index import CollectionMissingError
from app.core.errors import ConfigurationError, Unavailable, UpstreamFailed
from app.core.ports import IndexedId, IndexEntry, SearchScope, Vector

T = TypeVar("T")
AnyOf = dict[Literal["$in", "$nin"], list[str | int | float | bool]]
TIMEOUT = httpx.Timeout(30, connect=5)
LIMITS = httpx.Limits(max_connections=32, keepalive_expiry=40)
RETRY_PAUSES = (0.1, 0.4, 1.6)
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# Chroma refuses more than 5,461 entries in a request, and SQLite more than 32,766 values in a statement.
STEP_SIZE = 1000
MAX_IDS_IN_FILTER = 10_000
# The vectors of so few ids are read and compared here: a filter would make Chroma visit most of the graph.
MAX_COMPARED_HERE = 128
EF_CONSTRUCTION, MAX_NEIGHBORS, EF_SEARCH = 200, 16, 400


class OverloadedError(Exception):
    """The server or a proxy before it answered with a status that passes."""


class ChromaServer(AsyncFastAPI):
    """Chroma's own client without its shared HTTP client, which has no time limit and one set of headers for all."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        # What is given here cannot be changed by the environment, where Chroma's settings are read from otherwise.
        super().__init__(
            System(
                Settings(
                    chroma_server_host=url,
                    chroma_server_http_port=8000,
                    chroma_server_headers=None,
                    anonymized_telemetry=False,
                    chroma_otel_granularity=None,
                )
            )
        )
        self._http = http

    @override
    def _get_client(self) -> httpx.AsyncClient:
        return self._http


async def connect_chroma(
    url: str, token: str | None, *, tenant: str, database: str, transport: httpx.AsyncBaseTransport | None = None
) -> "ChromaStore":
    """`token` is sent in both headers that Chroma and the proxies before it read."""
    headers = {"Authorization": f"Bearer {token}", "X-Chroma-Token": token} if token else {}
    http = httpx.AsyncClient(
        headers={**headers, "Content-Type": "application/json"},
        timeout=TIMEOUT,
        limits=LIMITS,
        transport=transport,
        event_hooks={"response": [refuse_status]},
    )
    store = ChromaStore(ChromaServer(url, http), tenant=tenant, database=database, close=http.aclose)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(http.aclose)
        await store.check()
        stack.pop_all()
    return store


async def refuse_status(response: httpx.Response) -> None:
    """Before Chroma's client reads the answer: it knows no errors but those of the server itself."""
    if response.status_code in (401, 403):
        raise UpstreamFailed("The vector index rejected our credentials. Check CHROMA_TOKEN.")
    if response.status_code in TRANSIENT_STATUSES:
        raise OverloadedError
    if response.is_error:
        await response.aread()
        if "application/json" not in response.headers.get("content-type", ""):
            raise UpstreamFailed(
                f"CHROMA_URL answered with status {response.status_code}, but not as Chroma 1.0 or newer does. Set"
                " it to the address of your Chroma server, without /api."
            )


class ChromaStore:
    def __init__(
        self, server: AsyncServerAPI, *, tenant: str, database: str, close: Callable[[], Awaitable[None]]
    ) -> None:
        self._server = server
        self._tenant, self._database = tenant, database
        self._close = close
        self._collections: dict[str, AsyncCollection] = {}

    async def check(self) -> None:
        try:
            await call_with_retries(lambda: self._server.get_database(self._database, tenant=self._tenant))
        except NotFoundError as error:
            raise ConfigurationError(
                f"Chroma has no database {self._database} of the tenant {self._tenant}. Create it, or"
                " set CHROMA_TENANT and CHROMA_DATABASE to those that exist."
            ) from error

    async def create_collection(self, name: str, dimensions: int) -> None:
        await call_with_retries(
            lambda: self._server.create_collection(
                name,
                metadata={"dimensions": dimensions},
                configuration={
                    "hnsw": {
                        "space": "cosine",
                        "ef_construction": EF_CONSTRUCTION,
                        "ef_search": EF_SEARCH,
                        "max_neighbors": MAX_NEIGHBORS,
                    },
                    "embedding_function": None,
                },
                get_or_create=True,
                tenant=self._tenant,
                database=self._database,
            )
        )

    async def delete_collection(self, name: str) -> None:
        self._collections.pop(name, None)
        try:
            await call_with_retries(
                lambda: self._server.delete_collection(name, tenant=self._tenant, database=self._database)
            )
        except NotFoundError:
            return

    async def has_collection(self, name: str) -> bool:
        self._collections.pop(name, None)
        try:
            await self._collection(name, pauses=())
        except CollectionMissingError:
            return False
        return True

    async def write(self, collection: str, entries: Sequence[IndexEntry]) -> None:
        for step in in_steps(entries):
            await self._call(collection, partial(upsert_entries, step))

    async def remove(self, collection: str, ids: Sequence[UUID]) -> None:
        for step in in_steps(ids):
            await self._call(collection, partial(delete_ids, step))

    async def settle(self, collection: str) -> None:
        """A write is visible when it is acknowledged."""

    async def find_similar(self, collection: str, scope: SearchScope, vector: Vector, limit: int) -> Scores:
        if scope.namespaces == () or scope.only == ():
            return {}
        if scope.only is None:
            return await self._query(collection, in_scope(scope), vector, limit)
        if len(scope.only) <= MAX_COMPARED_HERE:
            return nearest(await self._vectors(collection, in_scope(scope), scope.only), vector, limit)
        found: Scores = {}
        for at in range(0, len(scope.only), MAX_IDS_IN_FILTER):
            chosen = any_of(map(str, scope.only[at : at + MAX_IDS_IN_FILTER]))
            where: Where = {"$and": [in_scope(scope), {"memory": chosen}]}
            found |= await self._query(collection, where, vector, limit)
        return best(found, limit)

    async def load_vectors(self, collection: str, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        loaded: dict[UUID, Vector] = {}
        for step in in_steps(ids):
            loaded |= await self._vectors(collection, {"project": any_of(owner_values(project_id))}, step)
        return loaded

    async def find_existing(self, collection: str, ids: Sequence[UUID]) -> set[UUID]:
        existing: set[UUID] = set()
        for step in in_steps(ids):
            found = await self._call(collection, partial(get_ids, step))
            existing.update(map(UUID, found["ids"]))
        return existing

    async def iterate_entries(self, collection: str, batch: int) -> AsyncIterator[list[IndexedId]]:
        """From the end: entries are in the order of their first write, so that the removal of what was read already
        and the addition of others move nothing that is still to be read."""
        end = await self.count(collection)
        while end > 0:
            start = max(0, end - batch)
            page = await self._call(collection, partial(get_page, start, end - start))
            fields = page["metadatas"] or []
            if page["ids"]:
                pairs = zip(page["ids"], fields, strict=True)
                yield [IndexedId(UUID(id), owner_of(str(each["project"]))) for id, each in pairs]
            end = start

    async def count(self, collection: str) -> int:
        return await self._call(collection, lambda each: each.count())

    async def close(self) -> None:
        await self._close()

    async def _query(self, collection: str, where: Where, vector: Vector, limit: int) -> Scores:
        found = await self._call(
            collection,
            lambda each: each.query(
                query_embeddings=np.array([vector], dtype=np.float32),
                n_results=limit,
                where=where,
                include=["distances"],
            ),
        )
        [ids], [distances] = found["ids"], found["distances"] or [[]]
        return {UUID(id): 1 - distance for id, distance in zip(ids, distances, strict=True)}

    async def _vectors(self, collection: str, where: Where, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        chosen = [str(each) for each in ids]
        found = await self._call(collection, lambda each: each.get(ids=chosen, where=where, include=["embeddings"]))
        vectors = [] if found["embeddings"] is None else found["embeddings"]
        return {UUID(id): list(map(float, each)) for id, each in zip(found["ids"], vectors, strict=True)}

    async def _call(self, collection: str, call: Callable[[AsyncCollection], Awaitable[T]]) -> T:
        found = await self._collection(collection)
        try:
            return await call_with_retries(partial(call, found))
        except NotFoundError as error:
            self._collections.pop(collection, None)
            raise CollectionMissingError from error

    async def _collection(self, name: str, pauses: Sequence[float] = RETRY_PAUSES) -> AsyncCollection:
        if name not in self._collections:
            try:
                model = await call_with_retries(
                    lambda: self._server.get_collection(name, tenant=self._tenant, database=self._database),
                    pauses=pauses,
                )
            except NotFoundError as error:
                raise CollectionMissingError from error
            self._collections[name] = AsyncCollection(self._server, model, embedding_function=None)
        return self._collections[name]


async def call_with_retries(call: Callable[[], Awaitable[T]], *, pauses: Sequence[float] = RETRY_PAUSES) -> T:
    """Every call here is idempotent, so one that failed on the way is repeated."""
    for pause in pauses:
        try:
            return await call_once(call)
        except (httpx.TransportError, OverloadedError):
            await asyncio.sleep(pause)
    try:
        return await call_once(call)
    except OverloadedError as error:
        raise Unavailable("The vector index is overloaded or starting. Try again shortly.") from error
    except httpx.TransportError as error:
        raise Unavailable(
            "The vector index does not answer. Check CHROMA_URL and that the server is running."
        ) from error


async def call_once(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except NotFoundError:
        raise
    except ChromaError as error:
        if "dimension" in error.message():
            raise Unavailable(OTHER_EMBEDDER) from error
        raise UpstreamFailed(f"The vector index refused a request: {error.name()}.") from error


def in_scope(scope: SearchScope) -> Where:
    if scope.namespaces is None:
        return {"project": str(scope.project_id)}
    return {"namespace": any_of(name_of(scope.project_id, each) for each in scope.namespaces)}


def any_of(values: Iterable[str]) -> AnyOf:
    return {"$in": [*values]}


def metadata_of(entry: IndexEntry) -> Metadata:
    """`memory` repeats the id, because Chroma fails on a filter of ids that names one which it does not have."""
    namespace = name_of(entry.project_id, entry.namespace)
    return {"project": owner_value(entry), "namespace": namespace, "memory": str(entry.id)}


async def upsert_entries(entries: Sequence[IndexEntry], collection: AsyncCollection) -> None:
    vectors = np.array([entry.vector for entry in entries], dtype=np.float32)
    await collection.upsert([str(entry.id) for entry in entries], list(vectors), list(map(metadata_of, entries)))


async def delete_ids(ids: Sequence[UUID], collection: AsyncCollection) -> None:
    await collection.delete(ids=[str(each) for each in ids])


async def get_ids(ids: Sequence[UUID], collection: AsyncCollection) -> GetResult:
    return await collection.get(ids=[str(each) for each in ids], include=[])


async def get_page(start: int, size: int, collection: AsyncCollection) -> GetResult:
    return await collection.get(offset=start, limit=size, include=["metadatas"])


def name_of(project_id: UUID, namespace: str) -> str:
    """One value, because a second condition costs as much as the first."""
    return f"{project_id} {namespace}"


def nearest(vectors: dict[UUID, Vector], question: Vector, limit: int) -> Scores:
    if not vectors:
        return {}
    matrix, asked = np.array(list(vectors.values())), np.array(question)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(asked)
    similarities = np.divide(matrix @ asked, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    return best(dict(zip(vectors, similarities.tolist(), strict=True)), limit)


def best(scores: Scores, limit: int) -> Scores:
    ordered = sorted(scores.items(), key=lambda each: (-each[1], each[0]))
    return dict(ordered[:limit])


def in_steps(items: Sequence[T]) -> list[list[T]]:
    return [list(items[at : at + STEP_SIZE]) for at in range(0, len(items), STEP_SIZE)]
