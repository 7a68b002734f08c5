"""The cache of vectors is bounded, and no project displaces the vectors of another by embedding a lot."""

import uuid

from app.adapters.models.embedders.vector_cache import VectorCache, cache_key
from app.core.ports import Purpose

ONE, OTHER = uuid.uuid4(), uuid.uuid4()
VECTOR = [0.1, 0.2, 0.3, 0.4]
SIZE = 32
QUERY = Purpose.QUERY


def test_vector_is_returned_to_its_project_only_and_as_it_was() -> None:
    cache = VectorCache()
    cache.put(ONE, cache_key("tea", QUERY), VECTOR)
    assert cache.get(ONE, cache_key("tea", QUERY)) == VECTOR
    assert cache.get(OTHER, cache_key("tea", QUERY)) is None
    assert cache.get(ONE, cache_key("tea", Purpose.DOCUMENT)) is None


def test_vector_is_dropped_after_a_while() -> None:
    now = [0.0]
    cache = VectorCache(seconds=10, clock=lambda: now[0])
    cache.put(ONE, cache_key("tea", QUERY), VECTOR)
    now[0] = 11
    assert cache.get(ONE, cache_key("tea", QUERY)) is None
    cache.put(ONE, cache_key("milk", QUERY), VECTOR)
    assert cache.size == SIZE


def test_project_displaces_its_own_vectors_the_least_recently_used_first() -> None:
    cache = VectorCache(tenant_bytes=2 * SIZE)
    cache.put(OTHER, cache_key("a", QUERY), VECTOR)
    for text in ("a", "b"):
        cache.put(ONE, cache_key(text, QUERY), VECTOR)
    cache.get(ONE, cache_key("a", QUERY))
    cache.put(ONE, cache_key("c", QUERY), VECTOR)
    kept = [cache.get(ONE, cache_key(text, QUERY)) is not None for text in ("a", "b", "c")]
    assert (kept, cache.get(OTHER, cache_key("a", QUERY))) == ([True, False, True], VECTOR)


def test_all_projects_together_are_bounded() -> None:
    cache = VectorCache(max_bytes=3 * SIZE, tenant_bytes=2 * SIZE)
    for tenant in [uuid.uuid4() for _ in range(50)]:
        for text in ("a", "b", "c"):
            cache.put(tenant, cache_key(text, QUERY), VECTOR)
        assert cache.size <= 3 * SIZE
    assert cache.get(tenant, cache_key("c", QUERY)) == VECTOR
