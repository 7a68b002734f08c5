"""One generation of the embedded index: a folder with a Qdrant Edge shard and a note of which embedder made it."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from uuid import UUID

from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HasIdCondition,
    HnswIndexConfig,
    IdfParams,
    KeywordIndexParams,
    MatchAny,
    MatchValue,
    Modifier,
    Point,
    Query,
    QueryRequest,
    ScoredPoint,
    ScrollRequest,
    SearchParams,
    SparseVector,
    UpdateMode,
    UpdateOperation,
)

from app.adapters.vectors.bm25 import document_terms
from app.adapters.vectors.candidates import DENSE, WORDS, to_dense
from app.core.errors import Unavailable
from app.core.ports import IndexedId, IndexEntry, SearchScope, Vector

MARKER, SHARD = "made_by.json", "shard"
# A segment of this size is left alone: merging everything took 3 s at 100,000 memories, a step of this size 1 to 1.5 s.
SEGMENT = 50_000
# Points a crash may leave to be replayed at the next start; flushing 1,000 takes 12 ms.
FLUSH_AFTER = 1000
Scores = dict[UUID, float]


class _Edge:
    """Edge knows one error, the bare Exception. It becomes one of ours here; what is more specific passes."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is Exception:
            raise Unavailable("The embedded vector index could not do this; see the log for its reason") from error


EDGE = _Edge()


class Generation:
    """Every call holds the GIL from start to end, so threads would only add a hop: all of them are made in place."""

    def __init__(self, folder: Path, embedder: str, dimensions: int, shard: EdgeShard) -> None:
        self.folder = folder
        self.made_by = (embedder, dimensions)
        self._shard = shard
        self._unflushed = 0

    @classmethod
    def create(cls, folder: Path, embedder: str, dimensions: int) -> "Generation":
        shutil.rmtree(folder, ignore_errors=True)
        (folder / SHARD).mkdir(parents=True)
        with EDGE:
            shard = EdgeShard.create(str(folder / SHARD), configure(dimensions))
            shard.update(UpdateOperation.create_field_index("place", KeywordIndexParams(is_tenant=True)))
            shard.update(UpdateOperation.create_field_index("project", KeywordIndexParams()))
            shard.flush()
        write_durably(folder / MARKER, json.dumps({"embedder": embedder, "dimensions": dimensions}))
        return cls(folder, embedder, dimensions, shard)

    @classmethod
    def load(cls, folder: Path) -> "Generation":
        made_by = json.loads((folder / MARKER).read_text())
        with EDGE:
            shard = EdgeShard.load(str(folder / SHARD), configure(made_by["dimensions"]))
        return cls(folder, made_by["embedder"], made_by["dimensions"], shard)

    def upsert(self, entries: Sequence[IndexEntry], mode: UpdateMode = UpdateMode.Upsert) -> None:
        points = [to_point(entry) for entry in entries]
        with EDGE:
            self._shard.update(UpdateOperation.upsert_points(points, update_mode=mode))
        self._wrote(len(entries))

    def remove(self, ids: Sequence[UUID]) -> None:
        with EDGE:
            self._shard.update(UpdateOperation.delete_points(list(ids)))
        self._wrote(len(ids))

    def search(self, requests: Sequence[QueryRequest]) -> list[Scores]:
        """One by one: as a batch, the same searches took twice as long."""
        with EDGE:
            return [to_scores(self._shard.query(request)) for request in requests]

    def vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        with EDGE:
            found = self._shard.retrieve(list(ids), with_payload=["project"], with_vector=[DENSE])
        mine = [each for each in found if (each.payload or {})["project"] == str(project_id)]
        return {to_uuid(each.id): to_dense(each.vector) for each in mine}

    def present(self, ids: Sequence[UUID]) -> set[UUID]:
        with EDGE:
            found = self._shard.retrieve(list(ids), with_payload=False, with_vector=False)
        return {to_uuid(record.id) for record in found}

    def page(self, start: UUID | None, size: int) -> tuple[list[IndexedId], UUID | None]:
        with EDGE:
            records, following = self._shard.scroll(ScrollRequest(offset=start, limit=size, with_payload=["project"]))
        found = [IndexedId(to_uuid(each.id), UUID((each.payload or {})["project"])) for each in records]
        return found, None if following is None else to_uuid(following)

    def count(self) -> int:
        with EDGE:
            return self._shard.count(CountRequest())

    def loose(self) -> int:
        """How many points no optimized segment holds yet."""
        with EDGE:
            state = self._shard.info()
        # The words of every point count as indexed, its dense vector only once it is in an optimized segment.
        return 2 * state.points_count - state.indexed_vectors_count

    def flush(self) -> None:
        if self._unflushed:
            with EDGE:
                self._shard.flush()
            self._unflushed = 0

    def optimize(self) -> None:
        with EDGE:
            self._shard.optimize()

    def close(self) -> None:
        self.flush()
        with EDGE:
            self._shard.close()

    def destroy(self) -> None:
        with EDGE:
            self._shard.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wrote(self, count: int) -> None:
        self._unflushed += count
        if self._unflushed >= FLUSH_AFTER:
            self.flush()


def configure(dimensions: int) -> EdgeConfig:
    """No graph at all: exact search reads 10,000 memories in about 1 ms, building a graph stands still for seconds.

    One search thread means the caller's own. A pool takes twice the work and longer (1.5 instead of 0.7 ms), because a
    search of one customer's memories is over before another thread is awake.
    """
    kilobyte = 1024 / (dimensions * 4)
    return EdgeConfig(
        vectors={DENSE: EdgeVectorParams(size=dimensions, distance=Distance.Cosine)},
        sparse_vectors={WORDS: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        hnsw_config=HnswIndexConfig(m=0, payload_m=0, ef_construct=100, full_scan_threshold=10_000),
        # Whoever calls optimize() has decided that it is worth it.
        optimizers=EdgeOptimizersConfig(indexing_threshold=1, max_segment_size=round(SEGMENT / kilobyte)),
        max_search_threads=1,
    )


def nearest(vector: Vector, scope: Filter, limit: int) -> QueryRequest:
    return QueryRequest(limit=limit, query=Query.Nearest(list(vector), using=DENSE), filter=scope)


def best_words(terms: SparseVector, scope: Filter, corpus: Filter, limit: int) -> QueryRequest:
    """How rare a word is, is counted in the corpus alone, so a score says nothing about other customers."""
    query = Query.Nearest(terms, using=WORDS)
    return QueryRequest(limit=limit, query=query, filter=scope, params=SearchParams(idf=IdfParams(corpus=corpus)))


def everything_in(scope: SearchScope) -> Filter:
    if scope.namespaces is None:
        return Filter(must=[FieldCondition("project", match=MatchValue(str(scope.project_id)))])
    places = [place(scope.project_id, namespace) for namespace in scope.namespaces]
    match = MatchValue(places[0]) if len(places) == 1 else MatchAny(places)
    return Filter(must=[FieldCondition("place", match=match)])


def place(project_id: UUID, namespace: str) -> str:
    """Project and namespace as one value: a single condition is checked twice as fast as two."""
    return f"{project_id}/{namespace}"


def among(ids: Sequence[UUID], corpus: Filter) -> Filter:
    return Filter(must=[HasIdCondition(set(ids)), corpus])


def to_point(entry: IndexEntry) -> Point:
    return Point(
        entry.id,
        {DENSE: list(entry.vector), WORDS: document_terms(entry.text)},
        {"project": str(entry.project_id), "place": place(entry.project_id, entry.namespace)},
    )


def to_scores(points: Sequence[ScoredPoint]) -> Scores:
    return {to_uuid(point.id): point.score for point in points}


def to_uuid(point_id: int | UUID | str) -> UUID:
    return point_id if isinstance(point_id, UUID) else UUID(str(point_id))


def write_durably(path: Path, content: str) -> None:
    """After a crash the file holds either what it held before or all of this."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
