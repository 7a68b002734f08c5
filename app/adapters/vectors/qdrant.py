"""A Qdrant server or cluster, reached through an alias, so that one step replaces the collection after a rebuild.

The server counts words within a corpus filter, which exists since Qdrant 1.19. An older server would silently count
the words of all tenants, so it is rejected.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from app.adapters.vectors.bm25 import WordSharesMixin, document_terms, query_terms
from app.adapters.vectors.candidates import (
    DENSE,
    OTHER_EMBEDDER,
    REBUILD_REPLACED,
    WORDS,
    Scores,
    dense_vector,
    merge_scores,
    missing_scores,
    owner_of,
    owner_value,
    owner_values,
    resolve_vector,
)
from app.core.errors import ConfigurationError, Conflict, Unavailable, UpstreamFailed
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector

T = TypeVar("T")
EmbedderKey = tuple[str, int]
"""Name and dimensions."""
MIN_VERSION = (1, 19)
STEP_SIZE = 256
RETRY_PAUSES = (0.1, 0.4, 1.6)
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# A larger namespace is searched through a graph of its own instead of exactly.
MAX_EXACT_POINTS = 25_000


def connect_qdrant(url: str, api_key: str | None, *, timeout_seconds: int = 10) -> AsyncQdrantClient:
    return AsyncQdrantClient(url=url, api_key=api_key, timeout=timeout_seconds, check_compatibility=False)


class QdrantIndex(WordSharesMixin):
    shared = True
    needs_rebuild = False

    def __init__(self, client: AsyncQdrantClient, name: str, embedder: str, dimensions: int) -> None:
        self._client = client
        self._name = name
        self._rebuild_alias = f"{name}-next"
        self._embedder = (embedder, dimensions)
        self._embedder_cache: dict[str, EmbedderKey] = {}
        self._removed: set[UUID] | None = None

    @classmethod
    async def open(
        cls, client: AsyncQdrantClient, embedder: str, dimensions: int, *, name: str = "keepsake"
    ) -> "QdrantIndex":
        index = cls(client, name, embedder, dimensions)
        await index._require_version()
        if name not in await index._aliases():
            first = await index.create_collection(embedder, dimensions)
            await index.change_aliases(models.CreateAlias(collection_name=first, alias_name=name))
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        if not entries:
            return
        targets = [each for each in await self._target_collections() if await self._embedder_of(each) == self._embedder]
        if not targets:
            raise Unavailable(OTHER_EMBEDDER)
        for target in targets:
            await self.write_points(target, entries, models.UpdateMode.UPSERT)

    async def remove(self, ids: Sequence[UUID]) -> None:
        if not ids:
            return
        if self._removed is not None:
            self._removed.update(ids)
        points = models.PointIdsList(points=[str(each) for each in ids])
        for target in await self._target_collections():
            await call_with_retries(partial(self._client.delete, target, points, wait=True))

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        vector = await resolve_vector(vector)
        corpus, terms = corpus_filter(scope), query_terms(text)
        where = search_filter(scope, corpus)
        if not terms.indices:
            (by_meaning,) = await self._search([dense_request(vector, where, limit)])
            return merge_scores(by_meaning, {})
        words = models.SparseVector(indices=terms.indices, values=terms.values)
        by_meaning, by_words = await self._search(
            [dense_request(vector, where, limit), words_request(words, where, corpus, limit)]
        )
        unmeasured, uncounted = missing_scores(by_meaning, by_words, limit)
        similarities, scores = await self._search(
            [
                dense_request(vector, restrict_to(unmeasured, corpus), len(unmeasured)),
                words_request(words, restrict_to(uncounted, corpus), corpus, len(uncounted)),
            ]
        )
        return merge_scores(by_meaning | similarities, by_words | scores)

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        where = search_filter(scope, corpus_filter(scope))
        (found,) = await self._search([dense_request(vector, where, limit)])
        return merge_scores(found, {})

    async def find_by_words(self, scope: SearchScope, text: str, limit: int) -> list[Candidate]:
        corpus, terms = corpus_filter(scope), query_terms(text)
        if not terms.indices:
            return []
        words = models.SparseVector(indices=terms.indices, values=terms.values)
        (by_words,) = await self._search([words_request(words, search_filter(scope, corpus), corpus, limit)])
        return merge_scores({}, by_words)

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        points = [str(each) for each in ids]
        load = partial(self._client.retrieve, self._name, points, with_payload=["project"], with_vectors=[DENSE])
        records = await call_with_retries(load) if points else []
        own = [each for each in records if owner_of((each.payload or {})["project"]) == project_id]
        return {UUID(str(each.id)): dense_vector(each.vector) for each in own}

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        points = [str(each) for each in ids]
        load = partial(self._client.retrieve, self._name, points, with_payload=False)
        records = await call_with_retries(load) if points else []
        return {UUID(str(record.id)) for record in records}

    async def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        start: models.ExtendedPointId | None = None
        while True:
            records, start = await self._page(start, batch)
            if records:
                yield [IndexedId(UUID(str(each.id)), owner_of((each.payload or {})["project"])) for each in records]
            if start is None:
                return

    async def count(self) -> int:
        return (await call_with_retries(lambda: self._client.count(self._name, exact=True))).count

    async def built_with(self) -> tuple[str, int] | None:
        return await self._embedder_of((await self._aliases())[self._name])

    async def start_rebuild(self, embedder: str, dimensions: int) -> "QdrantRebuild":
        """Replaces an unfinished rebuild, because nothing tells whether its process is still alive."""
        await self.delete_rebuild()
        collection = await self.create_collection(embedder, dimensions)
        await self.change_aliases(models.CreateAlias(collection_name=collection, alias_name=self._rebuild_alias))
        self._removed = set()
        return QdrantRebuild(self, collection, self._removed)

    async def run_housekeeping(self) -> None:
        """The server optimizes itself."""

    async def healthy(self) -> bool:
        try:
            await call_with_retries(lambda: self._client.collection_exists(self._name), pauses=())
        except (Unavailable, UpstreamFailed):
            return False
        return True

    async def close(self) -> None:
        await self._client.close()

    # ------------------------------------------------------------ collections and aliases

    async def write_points(self, target: str, entries: Sequence[IndexEntry], mode: models.UpdateMode) -> None:
        points = [to_point(entry) for entry in entries]
        for start in range(0, len(points), STEP_SIZE):
            step = points[start : start + STEP_SIZE]
            await call_with_retries(partial(self._client.upsert, target, step, wait=True, update_mode=mode))

    async def create_collection(self, embedder: str, dimensions: int) -> str:
        name = f"{self._name}-{uuid4().hex[:12]}"
        kilobytes = MAX_EXACT_POINTS * dimensions * 4 // 1024
        await call_with_retries(
            lambda: self._client.create_collection(
                name,
                vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
                sparse_vectors_config={WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                hnsw_config=models.HnswConfigDiff(m=0, payload_m=16, full_scan_threshold=kilobytes),
                metadata={"embedder": embedder, "dimensions": dimensions},
            )
        )
        for field, tenant in (("namespace", True), ("project", False)):
            kind = models.KeywordIndexType.KEYWORD
            schema = models.KeywordIndexParams(type=kind, is_tenant=tenant, enable_hnsw=tenant)
            await call_with_retries(partial(self._client.create_payload_index, name, field, schema))
        return name

    async def swap_in(self, collection: str) -> None:
        aliases = await self._aliases()
        if aliases.get(self._rebuild_alias) != collection:
            raise Conflict(REBUILD_REPLACED)
        replaced = aliases.get(self._name)  # None if the collection was deleted
        # One request, so that there is always a current collection.
        await self.change_aliases(
            *([models.DeleteAlias(alias_name=self._name)] if replaced else []),
            models.DeleteAlias(alias_name=self._rebuild_alias),
            models.CreateAlias(collection_name=collection, alias_name=self._name),
        )
        self._removed = None
        if replaced:
            await call_with_retries(lambda: self._client.delete_collection(replaced))

    async def delete_rebuild(self, only: str | None = None) -> None:
        unfinished = (await self._aliases()).get(self._rebuild_alias)
        if unfinished and only in (None, unfinished):
            await self.change_aliases(models.DeleteAlias(alias_name=self._rebuild_alias))
            await call_with_retries(lambda: self._client.delete_collection(unfinished))

    async def change_aliases(self, *changes: models.CreateAlias | models.DeleteAlias) -> None:
        operations = [
            models.CreateAliasOperation(create_alias=change)
            if isinstance(change, models.CreateAlias)
            else models.DeleteAliasOperation(delete_alias=change)
            for change in changes
        ]
        await call_with_retries(lambda: self._client.update_collection_aliases(operations))

    async def _target_collections(self) -> list[str]:
        """The current collection and that of a rebuild, which another process may have started."""
        aliases = await self._aliases()
        return [aliases[each] for each in (self._name, self._rebuild_alias) if each in aliases]

    async def _aliases(self) -> dict[str, str]:
        answer = await call_with_retries(self._client.get_aliases)
        return {each.alias_name: each.collection_name for each in answer.aliases}

    async def _embedder_of(self, collection: str) -> EmbedderKey:
        """Cached, because it is written when the collection is created and never changes."""
        if collection not in self._embedder_cache:
            metadata = (await call_with_retries(lambda: self._client.get_collection(collection))).config.metadata or {}
            self._embedder_cache[collection] = (str(metadata.get("embedder")), int(metadata.get("dimensions", 0)))
        return self._embedder_cache[collection]

    async def _page(
        self, start: models.ExtendedPointId | None, size: int
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return await call_with_retries(
            lambda: self._client.scroll(self._name, limit=size, offset=start, with_payload=["project"])
        )

    async def _search(self, requests: Sequence[models.QueryRequest]) -> list[Scores]:
        """One round trip. A request with the limit 0 is not sent and has no results."""
        sent = [request for request in requests if request.limit]
        answers = await call_with_retries(lambda: self._client.query_batch_points(self._name, sent)) if sent else []
        scores = iter([{UUID(str(point.id)): point.score for point in answer.points} for answer in answers])
        return [next(scores) if request.limit else {} for request in requests]

    async def _require_version(self) -> None:
        version = (await call_with_retries(self._client.info)).version
        if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < MIN_VERSION:
            raise ConfigurationError(
                f"QDRANT_URL points to Qdrant {version}. Version 1.19 or newer is needed, because older versions count"
                " the words of all tenants together."
            )


class QdrantRebuild:
    def __init__(self, index: QdrantIndex, collection: str, removed: set[UUID]) -> None:
        self._index = index
        self._collection = collection
        self._removed = removed

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """Inserts only: a point that exists already was written meanwhile and is newer."""
        kept = [entry for entry in entries if entry.id not in self._removed]
        await self._index.write_points(self._collection, kept, models.UpdateMode.INSERT_ONLY)

    async def swap(self) -> None:
        await self._index.swap_in(self._collection)

    async def abandon(self) -> None:
        await self._index.delete_rebuild(self._collection)


async def call_with_retries(call: Callable[[], Awaitable[T]], *, pauses: Sequence[float] = RETRY_PAUSES) -> T:
    """Every call here is idempotent, so one that failed on the way is repeated."""
    for pause in pauses:
        try:
            return await call()
        except ResponseHandlingException:
            await asyncio.sleep(pause)
        except ResourceExhaustedResponse as overload:
            await asyncio.sleep(max(pause, min(overload.retry_after_s, 5)))
        except UnexpectedResponse as answer:
            if answer.status_code not in TRANSIENT_STATUSES:
                raise error_of(answer) from answer
            await asyncio.sleep(pause)
    try:
        return await call()
    except UnexpectedResponse as answer:
        raise error_of(answer) from answer
    except (ResponseHandlingException, ResourceExhaustedResponse) as error:
        raise Unavailable(
            "The vector index does not answer. Check QDRANT_URL and that the server is running."
        ) from error


def error_of(answer: UnexpectedResponse) -> UpstreamFailed | Unavailable:
    if answer.status_code in (401, 403):
        return UpstreamFailed("The vector index rejected our credentials. Check QDRANT_API_KEY.")
    if answer.status_code in TRANSIENT_STATUSES:
        return Unavailable("The vector index is overloaded or starting. Try again shortly.")
    return UpstreamFailed(f"The vector index answered with status {answer.status_code}.")


def search_filter(scope: SearchScope, corpus: models.Filter) -> models.Filter:
    return corpus if scope.only is None else restrict_to(scope.only, corpus)


def corpus_filter(scope: SearchScope) -> models.Filter:
    if scope.namespaces is None:
        project = models.MatchValue(value=str(scope.project_id))
        return models.Filter(must=[models.FieldCondition(key="project", match=project)])
    owners = models.MatchAny(any=owner_values(scope.project_id))
    namespaces = models.MatchAny(any=list(scope.namespaces))
    return models.Filter(
        must=[
            models.FieldCondition(key="project", match=owners),
            models.FieldCondition(key="namespace", match=namespaces),
        ]
    )


def restrict_to(ids: Sequence[UUID], corpus: models.Filter) -> models.Filter:
    return models.Filter(must=[corpus, models.HasIdCondition(has_id=[str(each) for each in ids])])


def dense_request(vector: Vector, where: models.Filter, limit: int) -> models.QueryRequest:
    return models.QueryRequest(query=list(vector), using=DENSE, filter=where, limit=limit)


def words_request(
    words: models.SparseVector, where: models.Filter, corpus: models.Filter, limit: int
) -> models.QueryRequest:
    """The rarity of words is counted in the corpus alone, so that a score reveals nothing about other tenants."""
    params = models.SearchParams(idf=models.IdfCorpusParams(corpus=corpus))
    return models.QueryRequest(query=words, using=WORDS, filter=where, limit=limit, params=params)


def to_point(entry: IndexEntry) -> models.PointStruct:
    terms = document_terms(entry.text)
    return models.PointStruct(
        id=str(entry.id),
        vector={DENSE: list(entry.vector), WORDS: models.SparseVector(indices=terms.indices, values=terms.values)},
        payload={"project": owner_value(entry), "namespace": entry.namespace},
    )
