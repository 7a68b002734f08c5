from app.core.ttl_cache import Brief


async def test_it_is_asked_again_after_a_while_or_when_forgotten() -> None:
    now, asked = [0.0], [0]
    brief = Brief(seconds=5, clock=lambda: now[0])

    async def load() -> bool:
        asked[0] += 1
        return asked[0] > 1

    assert [await brief.ask("a", load) for _ in range(3)] == [False, False, False]
    now[0] = 6
    assert await brief.ask("a", load)
    brief.forget("a")
    await brief.ask("a", load)
    await brief.ask("b", load)
    assert asked == [4]
