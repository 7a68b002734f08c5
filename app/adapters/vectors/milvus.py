"""Vectors in a Milvus server. The words are in Postgres.

Tested with Milvus 2.3.5. There, an upsert ignores the partition key, so that a search with it would not find the row:
what is replaced is deleted and inserted. Filters contain only hexadecimal digits and dashes, so nothing is quoted.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from hashlib import blake2b
from itertools import product
from typing import Any, TypeVar
from uuid import UUID

import grpc
from pymilvus import AsyncMilvusClient, DataType, MilvusException

from app.adapters.vectors.candidates import Scores, owner_of, owner_value, owner_values
from app.adapters.vectors.split_index import CollectionMissingError
from app.core.errors import ConfigurationError, Unavailable, UpstreamFailed
from app.core.ports import IndexedId, IndexEntry, SearchScope, Vector

T = TypeVar("T")
Item = TypeVar("Item")
# docs/how-to/milvus.md has the measurements.
INDEX: dict[str, Any] = {"index_type": "HNSW", "metric_type": "COSINE", "params": {"M": 16, "efConstruction": 200}}
SEARCH_EF = 128
PARTITIONS = 16
STEP_SIZE = 500
MAX_ROWS = 16_384
"""The most that Milvus returns for one request."""
SLICE_SIZE = 2000
TIMEOUT_SECONDS = 10.0
SEARCH_SECONDS = 5.0
HEALTH_SECONDS = 2.0
ALL_WRITES, ALL_OLDER_WRITES = "Strong", "Bounded"
NO_ANSWER = "The vector index does not answer. Check MILVUS_URL and that the server is running."
REJECTED = re.compile(r"auth|permission|privilege", re.IGNORECASE)
DATABASE_MISSING = re.compile(r"database not found|database:.* not found", re.IGNORECASE)
NOT_REACHED = re.compile(r"fail connecting to server|timeout|no available|not ready|not healthy", re.IGNORECASE)
COLLECTION_MISSING = re.compile(r"collection not found|can't find collection|collection .*not exist", re.IGNORECASE)

# It logs each error with the request. What is raised here says the same without it.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


async def connect_milvus(
    url: str, token: str | None, *, database: str | None, timeout_seconds: float = TIMEOUT_SECONDS
) -> "MilvusStore":
    """Fails where the server does not answer, rejects the token or has no such database."""
    client = AsyncMilvusClient(url, token=token or "", db_name=database or "", timeout=TIMEOUT_SECONDS, dedicated=True)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        await call(client.list_collections(timeout=timeout_seconds))
        stack.pop_all()
    return MilvusStore(client)


class MilvusStore:
    def __init__(self, client: AsyncMilvusClient) -> None:
        self._client = client
        self._replacing = asyncio.Lock()

    async def create_collection(self, name: str, dimensions: int) -> None:
        schema = AsyncMilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, max_length=36, is_primary=True)
        schema.add_field("scope", DataType.VARCHAR, max_length=32, is_partition_key=True)
        schema.add_field("owner", DataType.VARCHAR, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
        await call(self._client.create_collection(name, schema=schema, num_partitions=PARTITIONS))
        index = AsyncMilvusClient.prepare_index_params()
        index.add_index("vector", **INDEX)
        with suppress(UnsupportedError):  # Milvus Lite has created it by then, but cannot be asked whether it has
            await call(self._client.create_index(name, index))
        await call(self._client.load_collection(name))

    async def delete_collection(self, name: str) -> None:
        await call(self._client.drop_collection(name))

    async def has_collection(self, name: str) -> bool:
        return bool(await call(self._client.has_collection(name, timeout=HEALTH_SECONDS)))

    async def write(self, collection: str, entries: Sequence[IndexEntry]) -> None:
        for step in in_steps(entries, STEP_SIZE):
            rows = [to_row(entry) for entry in step]
            # Two writers of one memory would otherwise both delete it, and then both insert it.
            async with self._replacing:
                await call(self._client.delete(collection, ids=[row["id"] for row in rows], timeout=TIMEOUT_SECONDS))
                await call(self._client.insert(collection, rows, timeout=TIMEOUT_SECONDS))

    async def remove(self, collection: str, ids: Sequence[UUID]) -> None:
        for step in in_steps(ids, STEP_SIZE):
            await call(self._client.delete(collection, ids=[str(each) for each in step], timeout=TIMEOUT_SECONDS))

    async def settle(self, collection: str) -> None:
        """A write is found by others as soon as it is found here. A search with `Strong` would wait for as long, but
        every time."""
        await self._query(collection, f"id in {literals([UUID(int=0)])}", ["id"], consistency=ALL_WRITES)

    async def find_similar(self, collection: str, scope: SearchScope, vector: Vector, limit: int) -> Scores:
        if scope.namespaces == () or scope.only == ():
            return {}
        [hits] = await call(
            self._client.search(
                collection,
                [list(vector)],
                anns_field="vector",
                filter=search_filter(scope),
                limit=min(limit, MAX_ROWS),
                search_params={"metric_type": "COSINE", "params": {"ef": max(SEARCH_EF, limit)}},
                consistency_level=ALL_OLDER_WRITES,
                timeout=SEARCH_SECONDS,
            )
        )
        return {UUID(hit["id"]): hit["distance"] for hit in hits}

    async def load_vectors(self, collection: str, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        found: dict[UUID, Vector] = {}
        for step in in_steps(ids, STEP_SIZE):
            where = f"id in {literals(step)} and owner in {literals(owner_values(project_id))}"
            rows = await self._query(collection, where, ["id", "vector"])
            found |= {UUID(row["id"]): [float(part) for part in row["vector"]] for row in rows}
        return found

    async def find_existing(self, collection: str, ids: Sequence[UUID]) -> set[UUID]:
        found: set[UUID] = set()
        for step in in_steps(ids, SLICE_SIZE):
            rows = await self._query(collection, f"id in {literals(step)}", ["id"])
            found.update(UUID(row["id"]) for row in rows)
        return found

    async def iterate_entries(self, collection: str, batch: int) -> AsyncIterator[list[IndexedId]]:
        """In slices of ids, because Milvus returns rows in no order that could be continued."""
        page: list[IndexedId] = []
        for where in id_slices(await self.count(collection)):
            rows = await self._query(collection, where, ["id", "owner"], limit=MAX_ROWS)
            page += [IndexedId(UUID(row["id"]), owner_of(row["owner"])) for row in rows]
            while len(page) >= batch:
                yield page[:batch]
                page = page[batch:]
        if page:
            yield page

    async def count(self, collection: str) -> int:
        [row] = await self._query(collection, "", ["count(*)"])
        return int(row["count(*)"])

    async def close(self) -> None:
        await self._client.close()

    async def _query(
        self,
        collection: str,
        where: str,
        fields: Sequence[str],
        *,
        consistency: str = ALL_OLDER_WRITES,
        **limit: int,
    ) -> list[dict[str, Any]]:
        asked = self._client.query(
            collection,
            where,
            output_fields=list(fields),
            consistency_level=consistency,
            timeout=TIMEOUT_SECONDS,
            **limit,
        )
        return list(await call(asked))


class UnsupportedError(UpstreamFailed):
    """The server does not know the request."""


async def call(request: Awaitable[T]) -> T:
    """The client repeats requests by itself until the timeout."""
    try:
        return await request
    except MilvusException as error:
        raise error_of(error) from error
    except grpc.RpcError as error:
        raise error_of_connection(error) from error


def error_of(error: MilvusException) -> Exception:
    if isinstance(error.__cause__, grpc.RpcError):  # what failed while the connection was opened
        return error_of_connection(error.__cause__)
    message = str(error.message)
    if DATABASE_MISSING.search(message):
        return ConfigurationError("MILVUS_DATABASE names a database that the server does not have. Create it first.")
    if COLLECTION_MISSING.search(message):
        return CollectionMissingError()
    if REJECTED.search(message):
        return UpstreamFailed("The vector index rejected our credentials. Check MILVUS_TOKEN.")
    if isinstance(error.code, grpc.StatusCode) or NOT_REACHED.search(message):
        return Unavailable(NO_ANSWER)
    return UpstreamFailed(f"The vector index answered with error {error.code}.")


def error_of_connection(error: grpc.RpcError) -> Exception:
    code = error.code()
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return UnsupportedError("The vector index does not know this request. Update the Milvus server.")
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return UpstreamFailed("The vector index rejected our credentials. Check MILVUS_TOKEN.")
    return Unavailable(NO_ANSWER)


def search_filter(scope: SearchScope) -> str:
    if scope.namespaces is None:
        where = f"owner in {literals([scope.project_id])}"
    else:
        where = f"scope in {literals([scope_key(scope.project_id, each) for each in scope.namespaces])}"
    return where if scope.only is None else f"{where} and id in {literals(scope.only)}"


def scope_key(project_id: UUID, namespace: str) -> str:
    """Which partition holds the namespace. Its name, which clients choose in part, never reaches Milvus."""
    return blake2b(f"{project_id}/{namespace}".encode(), digest_size=16).hexdigest()


def literals(values: Sequence[UUID | str]) -> str:
    """Of ids and hashes only: nothing in them needs to be quoted."""
    return "[" + ",".join(f'"{value}"' for value in values) + "]"


def id_slices(count: int) -> list[str]:
    """Filters that divide the ids into about equal parts of at most `SLICE_SIZE`."""
    digits = 0
    while count / 16**digits > SLICE_SIZE:
        digits += 1
    starts = ["".join(each) for each in product("0123456789abcdef", repeat=digits)]
    ends = [*starts[1:], "g"]
    return [f'id >= "{start}" and id < "{end}"' for start, end in zip(starts, ends, strict=True)]


def in_steps(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def to_row(entry: IndexEntry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "scope": scope_key(entry.project_id, entry.namespace),
        "owner": owner_value(entry),
        "vector": [float(part) for part in entry.vector],
    }
