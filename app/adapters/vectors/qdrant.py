"""A Qdrant server or cluster behind an alias, so that a rebuilt collection takes over in one step.

Words are counted by the server within a corpus filter, which Qdrant has since 1.19; an older server would silently
count everybody's, so it is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from app.adapters.vectors.bm25 import document_terms, query_terms
from app.adapters.vectors.candidates import DENSE, MADE_BY_ANOTHER, WORDS, arrived, to_dense, unite
from app.core.errors import ConfigurationError, Conflict, Unavailable, UpstreamFailed
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector

T = TypeVar("T")
Made = tuple[str, int]
NEEDED = (1, 19)
STEP = 256
PAUSES = (0.1, 0.4, 1.6)
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
# Up to here a namespace is searched exactly; beyond it, through a graph of its own.
EXACT_UP_TO = 25_000


def connect_qdrant(url: str, api_key: str | None, *, timeout_seconds: int = 10) -> AsyncQdrantClient:
    return AsyncQdrantClient(url=url, api_key=api_key, timeout=timeout_seconds, check_compatibility=False)


class QdrantIndex:
    def __init__(self, client: AsyncQdrantClient, name: str, embedder: str, dimensions: int) -> None:
        self._client = client
        self._name = name
        self._next = f"{name}-next"
        self._live = (embedder, dimensions)
        self._makers: dict[str, Made] = {}
        self._removed: set[UUID] | None = None

    @classmethod
    async def open(
        cls, client: AsyncQdrantClient, embedder: str, dimensions: int, *, name: str = "keepsake"
    ) -> "QdrantIndex":
        index = cls(client, name, embedder, dimensions)
        await index._require_version()
        if name not in await index._aliases():
            first = await index.create(embedder, dimensions)
            await index.point(models.CreateAlias(collection_name=first, alias_name=name))
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        if not entries:
            return
        targets = [each for each in await self._collections() if await self._made_by(each) == self._live]
        if not targets:
            raise Unavailable(MADE_BY_ANOTHER)
        for target in targets:
            await self.write(target, entries, models.UpdateMode.UPSERT)

    async def remove(self, ids: Sequence[UUID]) -> None:
        if not ids:
            return
        if self._removed is not None:
            self._removed.update(ids)
        points = models.PointIdsList(points=[str(each) for each in ids])
        for target in await self._collections():
            await ask(partial(self._client.delete, target, points, wait=True))

    async def candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        vector = await arrived(vector)
        corpus, terms = everything_in(scope), query_terms(text)
        where = corpus if scope.only is None else among(scope.only, corpus)
        if not terms.indices:
            return unite((await self._search([nearest(vector, where, limit)]))[0], {})
        words = models.SparseVector(indices=terms.indices, values=terms.values)
        by_meaning, by_words = await self._search(
            [nearest(vector, where, limit), best_words(words, where, corpus, limit)]
        )
        unmeasured = [each for each in by_words if each not in by_meaning]
        # Fewer matches than asked for are all there are: whoever is not among them matches no word.
        unread = [each for each in by_meaning if each not in by_words] if len(by_words) >= limit else []
        similarities, scores = await self._search(
            [
                nearest(vector, among(unmeasured, corpus), len(unmeasured)),
                best_words(words, among(unread, corpus), corpus, len(unread)),
            ]
        )
        return unite(by_meaning | similarities, by_words | scores)

    async def similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        corpus = everything_in(scope)
        where = corpus if scope.only is None else among(scope.only, corpus)
        (found,) = await self._search([nearest(vector, where, limit)])
        return unite(found, {})

    async def vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        wanted = [str(each) for each in ids]
        load = partial(self._client.retrieve, self._name, wanted, with_payload=["project"], with_vectors=[DENSE])
        records = await ask(load) if wanted else []
        mine = [each for each in records if (each.payload or {})["project"] == str(project_id)]
        return {UUID(str(each.id)): to_dense(each.vector) for each in mine}

    async def present(self, ids: Sequence[UUID]) -> set[UUID]:
        wanted = [str(each) for each in ids]
        records = await ask(lambda: self._client.retrieve(self._name, wanted, with_payload=False)) if wanted else []
        return {UUID(str(record.id)) for record in records}

    async def walk(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        start: models.ExtendedPointId | None = None
        while True:
            records, start = await self._page(start, batch)
            if records:
                yield [IndexedId(UUID(str(each.id)), UUID((each.payload or {})["project"])) for each in records]
            if start is None:
                return

    async def count(self) -> int:
        return (await ask(lambda: self._client.count(self._name, exact=True))).count

    async def made_by(self) -> tuple[str, int] | None:
        return await self._made_by((await self._aliases())[self._name])

    async def rebuild(self, embedder: str, dimensions: int) -> "QdrantRebuild":
        """Takes the place of one that was never finished: nobody can tell whether its process still lives."""
        await self.drop_next()
        collection = await self.create(embedder, dimensions)
        await self.point(models.CreateAlias(collection_name=collection, alias_name=self._next))
        self._removed = set()
        return QdrantRebuild(self, collection, self._removed)

    async def settle(self) -> None:
        """The server keeps its own house."""

    async def healthy(self) -> bool:
        try:
            await ask(lambda: self._client.collection_exists(self._name), pauses=())
        except (Unavailable, UpstreamFailed):
            return False
        return True

    async def close(self) -> None:
        await self._client.close()

    # ------------------------------------------------------------ collections and aliases

    async def write(self, target: str, entries: Sequence[IndexEntry], mode: models.UpdateMode) -> None:
        points = [to_point(entry) for entry in entries]
        for start in range(0, len(points), STEP):
            step = points[start : start + STEP]
            await ask(partial(self._client.upsert, target, step, wait=True, update_mode=mode))

    async def create(self, embedder: str, dimensions: int) -> str:
        name = f"{self._name}-{uuid4().hex[:12]}"
        kilobytes = EXACT_UP_TO * dimensions * 4 // 1024
        await ask(
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
            await ask(partial(self._client.create_payload_index, name, field, schema))
        return name

    async def take(self, collection: str) -> None:
        aliases = await self._aliases()
        if aliases.get(self._next) != collection:
            raise Conflict("Another rebuild of the vector index has taken the place of this one")
        # One request: there is no moment without a current collection.
        await self.point(
            models.DeleteAlias(alias_name=self._name),
            models.DeleteAlias(alias_name=self._next),
            models.CreateAlias(collection_name=collection, alias_name=self._name),
        )
        self._removed = None
        await ask(lambda: self._client.delete_collection(aliases[self._name]))

    async def drop_next(self, only: str | None = None) -> None:
        unfinished = (await self._aliases()).get(self._next)
        if unfinished and only in (None, unfinished):
            await self.point(models.DeleteAlias(alias_name=self._next))
            await ask(lambda: self._client.delete_collection(unfinished))

    async def point(self, *changes: models.CreateAlias | models.DeleteAlias) -> None:
        operations = [
            models.CreateAliasOperation(create_alias=change)
            if isinstance(change, models.CreateAlias)
            else models.DeleteAliasOperation(delete_alias=change)
            for change in changes
        ]
        await ask(lambda: self._client.update_collection_aliases(operations))

    async def _collections(self) -> list[str]:
        """The current one, and the one being filled: another process may be filling it, so the server is asked."""
        aliases = await self._aliases()
        return [aliases[each] for each in (self._name, self._next) if each in aliases]

    async def _aliases(self) -> dict[str, str]:
        answer = await ask(self._client.get_aliases)
        return {each.alias_name: each.collection_name for each in answer.aliases}

    async def _made_by(self, collection: str) -> Made:
        """Written when the collection is created and never changed, so asked once."""
        if collection not in self._makers:
            noted = (await ask(lambda: self._client.get_collection(collection))).config.metadata or {}
            self._makers[collection] = (str(noted.get("embedder")), int(noted.get("dimensions", 0)))
        return self._makers[collection]

    async def _page(
        self, start: models.ExtendedPointId | None, size: int
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return await ask(lambda: self._client.scroll(self._name, limit=size, offset=start, with_payload=["project"]))

    async def _search(self, requests: Sequence[models.QueryRequest]) -> list[dict[UUID, float]]:
        """One round trip for those that ask for something."""
        wanted = [request for request in requests if request.limit]
        answers = await ask(lambda: self._client.query_batch_points(self._name, wanted)) if wanted else []
        scores = iter([{UUID(str(point.id)): point.score for point in answer.points} for answer in answers])
        return [next(scores) if request.limit else {} for request in requests]

    async def _require_version(self) -> None:
        version = (await ask(self._client.info)).version
        if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < NEEDED:
            raise ConfigurationError(
                f"QDRANT_URL leads to Qdrant {version}: version 1.19 or newer is needed, which counts words for each"
                " customer apart"
            )


class QdrantRebuild:
    def __init__(self, index: QdrantIndex, collection: str, removed: set[UUID]) -> None:
        self._index = index
        self._collection = collection
        self._removed = removed

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """What is there already was written meanwhile and is newer."""
        kept = [entry for entry in entries if entry.id not in self._removed]
        await self._index.write(self._collection, kept, models.UpdateMode.INSERT_ONLY)

    async def swap(self) -> None:
        await self._index.take(self._collection)

    async def abandon(self) -> None:
        await self._index.drop_next(self._collection)


async def ask(call: Callable[[], Awaitable[T]], *, pauses: Sequence[float] = PAUSES) -> T:
    """Every call here may be made twice, so what failed on the way is tried again."""
    for pause in pauses:
        try:
            return await call()
        except ResponseHandlingException:
            await asyncio.sleep(pause)
        except ResourceExhaustedResponse as busy:
            await asyncio.sleep(max(pause, min(busy.retry_after_s, 5)))
        except UnexpectedResponse as answer:
            if answer.status_code not in TRANSIENT:
                raise refused(answer) from answer
            await asyncio.sleep(pause)
    try:
        return await call()
    except UnexpectedResponse as answer:
        raise refused(answer) from answer
    except (ResponseHandlingException, ResourceExhaustedResponse) as error:
        raise Unavailable("The vector index does not answer: check QDRANT_URL and that the server runs") from error


def refused(answer: UnexpectedResponse) -> UpstreamFailed | Unavailable:
    if answer.status_code in (401, 403):
        return UpstreamFailed("The vector index refused us: check QDRANT_API_KEY")
    if answer.status_code in TRANSIENT:
        return Unavailable("The vector index is overloaded or starting: try again shortly")
    return UpstreamFailed(f"The vector index answered with status {answer.status_code}")


def everything_in(scope: SearchScope) -> models.Filter:
    project = models.FieldCondition(key="project", match=models.MatchValue(value=str(scope.project_id)))
    if scope.namespaces is None:
        return models.Filter(must=[project])
    namespaces = models.MatchAny(any=list(scope.namespaces))
    return models.Filter(must=[project, models.FieldCondition(key="namespace", match=namespaces)])


def among(ids: Sequence[UUID], corpus: models.Filter) -> models.Filter:
    return models.Filter(must=[corpus, models.HasIdCondition(has_id=[str(each) for each in ids])])


def nearest(vector: Vector, where: models.Filter, limit: int) -> models.QueryRequest:
    return models.QueryRequest(query=list(vector), using=DENSE, filter=where, limit=limit)


def best_words(
    words: models.SparseVector, where: models.Filter, corpus: models.Filter, limit: int
) -> models.QueryRequest:
    """How rare a word is, is counted in the corpus alone, so a score says nothing about other customers."""
    params = models.SearchParams(idf=models.IdfCorpusParams(corpus=corpus))
    return models.QueryRequest(query=words, using=WORDS, filter=where, limit=limit, params=params)


def to_point(entry: IndexEntry) -> models.PointStruct:
    terms = document_terms(entry.text)
    return models.PointStruct(
        id=str(entry.id),
        vector={DENSE: list(entry.vector), WORDS: models.SparseVector(indices=terms.indices, values=terms.values)},
        payload={"project": str(entry.project_id), "namespace": entry.namespace},
    )
