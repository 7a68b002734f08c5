"""One generation of the embedded index: a folder with a Qdrant Edge shard and the name of its embedder."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from uuid import UUID

import structlog
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
from app.adapters.vectors.candidates import DENSE, WORDS, Scores, dense_vector, owner_of, owner_value
from app.core.errors import ConfigurationError, IndexFailed
from app.core.ports import IndexedId, IndexEntry, SearchScope, Vector

log = structlog.get_logger()
MARKER_FILE, MANIFEST_FILE, SHARD_FOLDER = "made_by.json", "closed.json", "shard"
ENGINE = f"qdrant-edge-py {version('qdrant-edge-py')}"
PANICS = "pyo3_runtime"
"""The module of the exception that a panic in Edge raises, which cannot be imported."""
SYSTEM_ERRORS = re.compile(r"os error (?:5|12|23|24|28|30)\)|WouldBlock")
"""Input or output failed, no memory, too many open files, no space, read-only; another process has the lock."""
# Larger segments are not merged: merging 100,000 memories took 3 s, a step of this size takes 1 to 1.5 s.
MAX_SEGMENT_POINTS = 50_000
# How many points a crash leaves to be replayed at the next start; flushing 1,000 takes 12 ms.
FLUSH_AFTER = 1000
BYTES_PER_DIMENSION, BYTES_PER_POINT = 8, 2048
NO_PROJECT = str(UUID(int=0))
PROJECT_KEY, NAMESPACE_KEY = "project", "place"
"""The payload of a point. `place` holds project and namespace: one condition is checked twice as fast as two."""


class DamagedIndexError(Exception):
    """The files cannot be loaded, whatever the system does."""


class EdgeErrors:
    """Edge raises bare Exceptions and panics. They become IndexFailed here; subclasses pass unchanged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is Exception or (kind is not None and kind.__module__ == PANICS):
            raise IndexFailed from error


EDGE_ERRORS = EdgeErrors()


class Generation:
    """Calls Edge in the event loop: every call holds the GIL from start to end, so a thread would only add a hop."""

    def __init__(
        self, folder: Path, embedder: str, dimensions: int, shard: EdgeShard, *, was_changed: bool = False
    ) -> None:
        self.folder = folder
        self.built_with = (embedder, dimensions)
        self.was_changed = was_changed
        """Whether its files were changed after it had been closed."""
        self._shard = shard
        self._unflushed = 0

    @classmethod
    def create(cls, folder: Path, embedder: str, dimensions: int) -> "Generation":
        shutil.rmtree(folder, ignore_errors=True)
        (folder / SHARD_FOLDER).mkdir(mode=0o700, parents=True)
        with EDGE_ERRORS:
            shard = EdgeShard.create(str(folder / SHARD_FOLDER), edge_config(dimensions))
            shard.update(UpdateOperation.create_field_index(NAMESPACE_KEY, KeywordIndexParams(is_tenant=True)))
            shard.update(UpdateOperation.create_field_index(PROJECT_KEY, KeywordIndexParams()))
            shard.flush()
        marker = {"embedder": embedder, "dimensions": dimensions, "engine": ENGINE}
        write_durably(folder / MARKER_FILE, json.dumps(marker))
        return cls(folder, embedder, dimensions, shard)

    @classmethod
    def load(cls, folder: Path) -> "Generation":
        """Raises DamagedIndexError, or ConfigurationError if only the system prevents it from being loaded."""
        require_access(folder)
        embedder, dimensions = read_marker(folder)
        was_changed = take_manifest(folder) not in (None, list_files(folder))
        try:
            with EDGE_ERRORS:
                shard = EdgeShard.load(str(folder / SHARD_FOLDER), edge_config(dimensions))
        except IndexFailed as error:
            raise explain_load_failure(folder, error) from error
        return cls(folder, embedder, dimensions, shard, was_changed=was_changed)

    def upsert(self, entries: Sequence[IndexEntry], mode: UpdateMode = UpdateMode.Upsert) -> None:
        points = [to_point(entry) for entry in entries]
        with EDGE_ERRORS:
            self._shard.update(UpdateOperation.upsert_points(points, update_mode=mode))
        self._count_writes(len(entries))

    def remove(self, ids: Sequence[UUID]) -> None:
        with EDGE_ERRORS:
            self._shard.update(UpdateOperation.delete_points(list(ids)))
        self._count_writes(len(ids))

    def search(self, request: QueryRequest) -> Scores:
        # One request at a time: as a batch, the same searches took twice as long.
        with EDGE_ERRORS:
            return to_scores(self._shard.query(request))

    def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        with EDGE_ERRORS:
            found = self._shard.retrieve(list(ids), with_payload=[PROJECT_KEY], with_vector=[DENSE])
        own = [each for each in found if each.vector and project_of(each.payload) == project_id]
        return {to_uuid(each.id): dense_vector(each.vector) for each in own}

    def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        with EDGE_ERRORS:
            found = self._shard.retrieve(list(ids), with_payload=False, with_vector=False)
        return {to_uuid(record.id) for record in found}

    def page(self, start: UUID | None, size: int) -> tuple[list[IndexedId], UUID | None]:
        with EDGE_ERRORS:
            records, following = self._shard.scroll(ScrollRequest(offset=start, limit=size, with_payload=[PROJECT_KEY]))
        found = [IndexedId(to_uuid(each.id), project_of(each.payload)) for each in records]
        return found, None if following is None else to_uuid(following)

    def count(self) -> int:
        with EDGE_ERRORS:
            return self._shard.count(CountRequest())

    def count_unoptimized(self) -> int:
        """How many points are in no optimized segment yet."""
        with EDGE_ERRORS:
            state = self._shard.info()
        # The words of a point count as indexed at once, its dense vector only in an optimized segment.
        return 2 * state.points_count - state.indexed_vectors_count

    def optimized_size(self, points: int) -> int:
        """About the bytes that so many points take in a new segment, with its temporary files."""
        return points * (self.built_with[1] * BYTES_PER_DIMENSION + BYTES_PER_POINT)

    def flush(self) -> None:
        if self._unflushed:
            with EDGE_ERRORS:
                self._shard.flush()
            self._unflushed = 0

    def optimize(self) -> None:
        with EDGE_ERRORS:
            self._shard.optimize()

    def close(self) -> None:
        """What cannot be flushed, for example because the disk is full, is in the write-ahead log of the shard."""
        try:
            self.flush()
            with EDGE_ERRORS:
                self._shard.close()
            write_durably(self.folder / MANIFEST_FILE, json.dumps(list_files(self.folder)))
        except (IndexFailed, OSError) as error:
            log.warning("index.not_closed", exc_info=error)
            vars(self).pop("_shard", None)  # releases its files

    def destroy(self) -> None:
        try:
            with EDGE_ERRORS:
                self._shard.close()
        except IndexFailed as error:
            log.warning("index.not_closed", exc_info=error)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _count_writes(self, count: int) -> None:
        self._unflushed += count
        if self._unflushed >= FLUSH_AFTER:
            self.flush()


def edge_config(dimensions: int) -> EdgeConfig:
    """No graph: exact search reads 10,000 memories in about 1 ms, while building a graph blocks for seconds.

    One search thread means the calling thread. A pool doubles the work and takes longer (1.5 instead of 0.7 ms),
    because the search of one namespace ends before another thread wakes up.
    """
    points_per_kilobyte = 1024 / (dimensions * 4)
    return EdgeConfig(
        vectors={DENSE: EdgeVectorParams(size=dimensions, distance=Distance.Cosine)},
        sparse_vectors={WORDS: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        hnsw_config=HnswIndexConfig(m=0, payload_m=0, ef_construct=100, full_scan_threshold=10_000),
        # The caller of optimize() has decided that it is worthwhile.
        optimizers=EdgeOptimizersConfig(
            indexing_threshold=1, max_segment_size=round(MAX_SEGMENT_POINTS / points_per_kilobyte)
        ),
        max_search_threads=1,
    )


def dense_request(vector: Vector, scope: Filter, limit: int) -> QueryRequest:
    return QueryRequest(limit=limit, query=Query.Nearest(list(vector), using=DENSE), filter=scope)


def words_request(terms: SparseVector, scope: Filter, corpus: Filter, limit: int) -> QueryRequest:
    """The rarity of words is counted in the corpus alone, so that a score reveals nothing about other tenants."""
    query = Query.Nearest(terms, using=WORDS)
    return QueryRequest(limit=limit, query=query, filter=scope, params=SearchParams(idf=IdfParams(corpus=corpus)))


def corpus_filter(scope: SearchScope) -> Filter:
    if scope.namespaces is None:
        return Filter(must=[FieldCondition(PROJECT_KEY, match=MatchValue(str(scope.project_id)))])
    values = [namespace_value(scope.project_id, namespace) for namespace in scope.namespaces]
    match = MatchValue(values[0]) if len(values) == 1 else MatchAny(values)
    return Filter(must=[FieldCondition(NAMESPACE_KEY, match=match)])


def namespace_value(project_id: UUID, namespace: str) -> str:
    return f"{project_id}/{namespace}"


def restrict_to(ids: Sequence[UUID], corpus: Filter) -> Filter:
    return Filter(must=[HasIdCondition(set(ids)), corpus])


def to_point(entry: IndexEntry) -> Point:
    return Point(
        entry.id,
        {DENSE: list(entry.vector), WORDS: document_terms(entry.text)},
        {PROJECT_KEY: owner_value(entry), NAMESPACE_KEY: namespace_value(entry.project_id, entry.namespace)},
    )


def project_of(payload: Mapping[str, object] | None) -> UUID:
    return owner_of(str((payload or {}).get(PROJECT_KEY, NO_PROJECT)))


def to_scores(points: Sequence[ScoredPoint]) -> Scores:
    return {to_uuid(point.id): point.score for point in points}


def to_uuid(point_id: int | UUID | str) -> UUID:
    return point_id if isinstance(point_id, UUID) else UUID(str(point_id))


def require_access(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not os.access(path, os.R_OK | os.W_OK):
            raise ConfigurationError(
                f"The embedded vector index cannot be opened, because {path} cannot be read and written. Start as the"
                " user that owns the folder, or change its owner."
            )


def read_marker(folder: Path) -> tuple[str, int]:
    try:
        marker = json.loads((folder / MARKER_FILE).read_bytes())
        return str(marker["embedder"]), int(marker["dimensions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedIndexError(f"{folder / MARKER_FILE} is missing or unreadable.") from error


def list_files(folder: Path) -> dict[str, list[int]]:
    """Size and time of change of every file. Archives keep the time in seconds."""
    files = [path for path in (folder / SHARD_FOLDER).rglob("*") if path.is_file()]
    stats = {str(path.relative_to(folder)): path.stat() for path in files}
    return {name: [each.st_size, int(each.st_mtime)] for name, each in stats.items()}


def take_manifest(folder: Path) -> object:
    """What `close` wrote. None after a crash, which leaves nothing to compare with."""
    manifest = folder / MANIFEST_FILE
    try:
        content: object = json.loads(manifest.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        content = "unreadable"
    manifest.unlink()
    return content


def explain_load_failure(folder: Path, error: IndexFailed) -> ConfigurationError | DamagedIndexError:
    reason = str(error.__cause__)
    if SYSTEM_ERRORS.search(reason):
        return ConfigurationError(
            f"The embedded vector index in {folder} cannot be opened ({reason}). Solve this problem of the system and"
            " start again. The index is not damaged."
        )
    return DamagedIndexError(f"{folder} cannot be loaded.")


def write_durably(path: Path, content: str) -> None:
    """After a crash the file has either its old content or all of the new content."""
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
