"""The queue into the index: which changes a search waits for, and which go first."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from app.core.ports import MAX_PIECES, IndexChange, IndexUpsert
from app.memory.indexing.batch import BatchLimit, estimate_tokens
from app.memory.indexing.queue import ChangeQueue

PROJECT = uuid.uuid4()
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def upserts(namespace: str, *words: str, project_id: uuid.UUID = PROJECT) -> list[IndexChange]:
    return [IndexUpsert(uuid.uuid4(), project_id, namespace, word, None, NOW, NOW) for word in words]


def words(batch: Sequence[IndexChange]) -> list[str]:
    return [change.content for change in batch if isinstance(change, IndexUpsert)]


def limit(changes: int, tokens: int = 10_000) -> BatchLimit:
    return BatchLimit(changes, tokens)


async def take(queue: ChangeQueue, changes: int, tokens: int = 10_000) -> list[IndexChange]:
    batch = await queue.take_batch(limit(changes, tokens), 1)
    assert batch is not None
    return batch


async def start_search(queue: ChangeQueue, *namespaces: str, include_chat: bool = True) -> asyncio.Task[bool]:
    task = asyncio.create_task(queue.wait_until_done(PROJECT, namespaces or None, include_chat=include_chat))
    await asyncio.sleep(0)
    return task


async def is_over(task: asyncio.Task[Any]) -> bool:
    for _ in range(20):
        await asyncio.sleep(0)
    return task.done()


async def test_search_waits_for_earlier_changes_and_not_for_later_ones() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "first"), from_chat=False)
    search = await start_search(queue, "a")
    first = await take(queue, 1)
    queue.put(upserts("a", "second", "third"), from_chat=False)
    assert not await is_over(search)
    await queue.mark_done(first)
    assert await is_over(search)
    assert len(queue) == 2


async def test_search_does_not_wait_for_other_namespaces() -> None:
    queue = ChangeQueue()
    queue.put(upserts("b", "theirs"), from_chat=False)
    assert await is_over(await start_search(queue, "a"))
    assert not await is_over(await start_search(queue))


async def test_chat_turn_does_not_wait_for_changes_from_chat() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "written"), from_chat=False)
    queue.put(upserts("a", "said"), from_chat=True)
    talk, search = await start_search(queue, "a", include_chat=False), await start_search(queue, "a")
    await queue.mark_done(await take(queue, 1))
    assert await is_over(talk)
    assert not await is_over(search)
    await queue.mark_done(await take(queue, 1))
    assert await is_over(search)


async def test_searched_namespace_goes_before_an_import() -> None:
    queue = ChangeQueue()
    queue.put(upserts("import", *"1234567"), from_chat=False)
    queue.put(upserts("a", "x", "y"), from_chat=False)
    search = await start_search(queue, "a")
    assert words(await take(queue, 4)) == ["x", "y"], "in a batch of its own, which takes less time"
    search.cancel()
    assert await is_over(search)
    assert words(await take(queue, 4)) == ["1", "2", "3", "4"]


async def test_namespaces_take_turns_and_keep_their_order() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", *"1234"), from_chat=False)
    queue.put(upserts("b", *"567"), from_chat=False)
    batches = []
    for _ in range(4):
        batches.append(await take(queue, 2))
        await queue.mark_done(batches[-1])
    assert [words(batch) for batch in batches] == [["1", "2"], ["5", "6"], ["3", "4"], ["7"]]
    assert await queue.take_batch(limit(2), 0) is None


async def test_small_batch_is_gathered_until_a_search_starts() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "x"), from_chat=False)
    taking = asyncio.create_task(take(queue, 8))
    queue.put(upserts("b", "y"), from_chat=False)
    assert not await is_over(taking)
    assert words(await taking) == ["x", "y"]
    await queue.mark_done(taking.result())
    queue.put(upserts("a", "z"), from_chat=False)
    taking = asyncio.create_task(take(queue, 8))
    assert not await is_over(taking)
    search = await start_search(queue, "a")
    assert await is_over(taking)
    await queue.mark_done(taking.result())
    assert await is_over(search)


async def test_queue_is_empty_only_when_every_taken_change_is_done() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "x"), from_chat=False)
    emptied = asyncio.create_task(queue.wait_until_empty())
    batch = await take(queue, 8)
    assert len(queue) == 0
    assert not await is_over(emptied)
    await queue.mark_done(batch)
    assert await is_over(emptied)


async def test_writer_waits_for_room_in_a_full_queue() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", *"123"), from_chat=False)
    waiting = asyncio.create_task(queue.wait_for_room(PROJECT, limit(2)))
    assert not await is_over(waiting)
    await queue.mark_done(await take(queue, 1))
    assert await is_over(waiting)
    queue.put(upserts("a", "x" * 90_000), from_chat=False)
    waiting = asyncio.create_task(queue.wait_for_room(PROJECT, limit(100, tokens=1000)))
    assert not await is_over(waiting), "few changes, but long ones"
    waiting.cancel()


async def test_projects_take_turns_however_many_namespaces_they_have() -> None:
    queue, other = ChangeQueue(), uuid.uuid4()
    for number in range(1000):
        queue.put(upserts(f"namespace {number}", "x" * 400), from_chat=False)
    queue.put(upserts("a", "theirs"), from_chat=False)
    for _ in range(3):
        queue.put(upserts("a", "y" * 400, project_id=other), from_chat=False)
        batch = await take(queue, 32, tokens=1024)
        assert "y" * 400 in words(batch)
        await queue.mark_done(batch)


async def test_turn_of_a_project_is_bounded_by_tokens() -> None:
    queue, other = ChangeQueue(), uuid.uuid4()
    queue.put(upserts("a", *("x" * 400 for _ in range(40))), from_chat=False)
    queue.put(upserts("a", "y" * 400, project_id=other), from_chat=False)
    assert "y" * 400 in words(await take(queue, 32, tokens=1024))


def test_long_text_counts_as_the_pieces_that_are_embedded() -> None:
    [short], [long] = upserts("a", "x" * 400), upserts("a", "x" * 90_000)
    assert estimate_tokens(short) == 3 + 100 + 4
    assert estimate_tokens(long) == 3 + MAX_PIECES * 256 + 900


async def test_batch_is_bounded_by_tokens() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", *("x" * 90_000 for _ in range(40))), from_chat=False)
    assert len(await take(queue, 32, tokens=1024)) == 1, "one long text fills a batch"
    queue = ChangeQueue()
    queue.put(upserts("a", *("x" * 1000 for _ in range(40))), from_chat=False)
    assert 2 <= len(await take(queue, 32, tokens=1024)) <= 4


async def test_long_text_does_not_delay_the_short_texts_of_others() -> None:
    queue, other = ChangeQueue(), uuid.uuid4()
    queue.put(upserts("a", "first", "x" * 90_000), from_chat=False)
    queue.put(upserts("b", "second", project_id=other), from_chat=False)
    batch = await take(queue, 32, tokens=1024)
    assert words(batch) == ["first", "second"]
    await queue.mark_done(batch)
    assert len(await take(queue, 32, tokens=1024)) == 1


async def test_searched_namespace_is_taken_while_a_long_batch_is_indexed() -> None:
    queue = ChangeQueue()
    queue.put(upserts("import", *"123"), from_chat=False)
    long = await take(queue, 1)
    searched = asyncio.create_task(queue.take_searched_batch(limit(32)))
    queue.put(upserts("a", "x"), from_chat=False)
    assert not await is_over(searched)
    search = await start_search(queue, "a")
    assert words(await searched) == ["x"]
    await queue.mark_done(searched.result())
    assert await is_over(search)
    await queue.mark_done(long)


async def test_changes_of_a_namespace_are_never_in_two_batches_at_once() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "old", "new"), from_chat=False)
    first = await take(queue, 1)
    search = await start_search(queue, "a")
    second = asyncio.create_task(queue.take_searched_batch(limit(32)))
    assert not await is_over(second)
    await queue.mark_done(first)
    assert words(await second) == ["new"]
    await queue.mark_done(second.result())
    assert await is_over(search)


async def test_search_waits_for_a_limited_time() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "x"), from_chat=False)
    assert not await queue.wait_until_done(PROJECT, ["a"], include_chat=True, seconds=0.01)
    await queue.mark_done(await take(queue, 1))
    assert await queue.wait_until_done(PROJECT, ["a"], include_chat=True, seconds=0.01)


async def test_full_queue_of_a_project_does_not_slow_other_writers() -> None:
    queue, other = ChangeQueue(), uuid.uuid4()
    queue.put(upserts("a", *"123"), from_chat=False)
    queue.put(upserts("a", "x", project_id=other), from_chat=False)
    assert await is_over(asyncio.create_task(queue.wait_for_room(other, limit(2))))
    waiting = asyncio.create_task(queue.wait_for_room(PROJECT, limit(2)))
    assert not await is_over(waiting)
    waiting.cancel()


async def test_queue_knows_the_memories_on_their_way() -> None:
    queue = ChangeQueue()
    [change] = upserts("a", "x")
    queue.put([change, change], from_chat=False)
    assert queue.count_waiting(PROJECT) == 2
    first = await take(queue, 1)
    assert change.id in queue
    await queue.mark_done(first)
    assert change.id in queue
    await queue.mark_done(await take(queue, 1))
    assert change.id not in queue
    assert queue.count_waiting(PROJECT) == 0
