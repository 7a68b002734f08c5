"""The queue into the index: which changes a search waits for, and which go first."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from app.core.ports import IndexChange, IndexUpsert
from app.memory.indexing.queue import ChangeQueue

PROJECT = uuid.uuid4()
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def upserts(namespace: str, *words: str) -> list[IndexChange]:
    return [IndexUpsert(uuid.uuid4(), PROJECT, namespace, word, None, NOW, NOW) for word in words]


def words(batch: Sequence[IndexChange]) -> list[str]:
    return [change.content for change in batch if isinstance(change, IndexUpsert)]


async def start_search(queue: ChangeQueue, *namespaces: str, include_chat: bool = True) -> asyncio.Task[None]:
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
    first = await queue.take_batch(1, 1)
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
    await queue.mark_done(await queue.take_batch(1, 1))
    assert await is_over(talk)
    assert not await is_over(search)
    await queue.mark_done(await queue.take_batch(1, 1))
    assert await is_over(search)


async def test_searched_namespace_goes_before_an_import() -> None:
    queue = ChangeQueue()
    queue.put(upserts("import", *"1234567"), from_chat=False)
    queue.put(upserts("a", "x", "y"), from_chat=False)
    search = await start_search(queue, "a")
    assert words(await queue.take_batch(4, 1)) == ["x", "y"], "in a batch of its own, which takes less time"
    search.cancel()
    assert await is_over(search)
    assert words(await queue.take_batch(4, 1)) == ["1", "2", "3", "4"]


async def test_namespaces_take_turns_and_keep_their_order() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", *"1234"), from_chat=False)
    queue.put(upserts("b", *"567"), from_chat=False)
    assert [words(await queue.take_batch(2, 1)) for _ in range(4)] == [["1", "2"], ["5", "6"], ["3", "4"], ["7"]]
    assert await queue.take_batch(2, 0) == []


async def test_small_batch_is_gathered_until_a_search_starts() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "x"), from_chat=False)
    taking = asyncio.create_task(queue.take_batch(8, 1))
    queue.put(upserts("b", "y"), from_chat=False)
    assert not await is_over(taking)
    assert words(await taking) == ["x", "y"]
    await queue.mark_done(taking.result())
    queue.put(upserts("a", "z"), from_chat=False)
    taking = asyncio.create_task(queue.take_batch(8, 1))
    assert not await is_over(taking)
    search = await start_search(queue, "a")
    assert await is_over(taking)
    await queue.mark_done(taking.result())
    assert await is_over(search)


async def test_queue_is_empty_only_when_every_taken_change_is_done() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", "x"), from_chat=False)
    emptied = asyncio.create_task(queue.wait_until_empty())
    batch = await queue.take_batch(8, 1)
    assert len(queue) == 0
    assert not await is_over(emptied)
    await queue.mark_done(batch)
    assert await is_over(emptied)


async def test_writer_waits_for_room_in_a_full_queue() -> None:
    queue = ChangeQueue()
    queue.put(upserts("a", *"123"), from_chat=False)
    waiting = asyncio.create_task(queue.wait_for_room(2))
    assert not await is_over(waiting)
    await queue.mark_done(await queue.take_batch(1, 1))
    assert await is_over(waiting)
