from app.core.ttl_cache import TtlCache


async def test_ttl_cache_reloads_after_expiry_or_invalidation() -> None:
    now, asked = [0.0], [0]
    cache = TtlCache(seconds=5, clock=lambda: now[0])

    async def load() -> bool:
        asked[0] += 1
        return asked[0] > 1

    assert [await cache.get_or_load("a", load) for _ in range(3)] == [False, False, False]
    now[0] = 6
    assert await cache.get_or_load("a", load)
    cache.invalidate("a")
    await cache.get_or_load("a", load)
    await cache.get_or_load("b", load)
    assert asked == [4]
