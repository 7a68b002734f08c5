"""The way into the index: who waits for what, and who goes first."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence

from app.core.ports import Change, ToIndex
from app.memory.indexing.queue import Backlog

PROJECT = uuid.uuid4()
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def some(namespace: str, *words: str) -> list[Change]:
    return [ToIndex(uuid.uuid4(), PROJECT, namespace, word, None, NOW, NOW) for word in words]


def words(batch: Sequence[Change]) -> list[str]:
    return [change.content for change in batch if isinstance(change, ToIndex)]


async def searching(backlog: Backlog, *namespaces: str, said: bool = True) -> "asyncio.Task[None]":
    task = asyncio.create_task(backlog.settled(PROJECT, namespaces or None, said=said))
    await asyncio.sleep(0)
    return task


async def is_over(task: "asyncio.Task[None]") -> bool:
    for _ in range(20):
        await asyncio.sleep(0)
    return task.done()


async def test_a_search_waits_for_what_was_put_before_it_and_not_for_what_comes_later() -> None:
    backlog = Backlog()
    backlog.put(some("a", "first"), said=False)
    search = await searching(backlog, "a")
    first = await backlog.take(1, 1)
    backlog.put(some("a", "second", "third"), said=False)
    assert not await is_over(search)
    await backlog.done(first)
    assert await is_over(search)
    assert len(backlog) == 2


async def test_nobody_waits_where_nothing_is_on_its_way() -> None:
    backlog = Backlog()
    backlog.put(some("b", "theirs"), said=False)
    assert await is_over(await searching(backlog, "a"))
    assert not await is_over(await searching(backlog))


async def test_a_conversation_does_not_wait_for_what_was_said_in_one() -> None:
    backlog = Backlog()
    backlog.put(some("a", "written"), said=False)
    backlog.put(some("a", "said"), said=True)
    talk, search = await searching(backlog, "a", said=False), await searching(backlog, "a")
    await backlog.done(await backlog.take(1, 1))
    assert await is_over(talk)
    assert not await is_over(search)
    await backlog.done(await backlog.take(1, 1))
    assert await is_over(search)


async def test_what_is_searched_goes_before_somebodys_import() -> None:
    backlog = Backlog()
    backlog.put(some("import", *"1234567"), said=False)
    backlog.put(some("a", "x", "y"), said=False)
    search = await searching(backlog, "a")
    assert words(await backlog.take(4, 1)) == ["x", "y"], "and in a batch of its own, which takes less time"
    search.cancel()
    assert await is_over(search)
    assert words(await backlog.take(4, 1)) == ["1", "2", "3", "4"]


async def test_lanes_take_turns_and_keep_their_order() -> None:
    backlog = Backlog()
    backlog.put(some("a", *"1234"), said=False)
    backlog.put(some("b", *"567"), said=False)
    assert [words(await backlog.take(2, 1)) for _ in range(4)] == [["1", "2"], ["5", "6"], ["3", "4"], ["7"]]
    assert await backlog.take(2, 0) == []


async def test_a_few_are_gathered_until_somebody_searches() -> None:
    backlog = Backlog()
    backlog.put(some("a", "x"), said=False)
    taking = asyncio.create_task(backlog.take(8, 1))
    backlog.put(some("b", "y"), said=False)
    assert not await is_over(taking)
    assert words(await taking) == ["x", "y"]
    await backlog.done(taking.result())
    backlog.put(some("a", "z"), said=False)
    taking = asyncio.create_task(backlog.take(8, 1))
    assert not await is_over(taking)
    search = await searching(backlog, "a")
    assert await is_over(taking)
    await backlog.done(taking.result())
    assert await is_over(search)


async def test_it_is_empty_only_when_all_that_was_taken_is_done() -> None:
    backlog = Backlog()
    backlog.put(some("a", "x"), said=False)
    emptied = asyncio.create_task(backlog.empty())
    batch = await backlog.take(8, 1)
    assert len(backlog) == 0
    assert not await is_over(emptied)
    await backlog.done(batch)
    assert await is_over(emptied)


async def test_whoever_puts_too_much_waits_until_there_is_room() -> None:
    backlog = Backlog()
    backlog.put(some("a", *"123"), said=False)
    waiting = asyncio.create_task(backlog.shrunk(2))
    assert not await is_over(waiting)
    await backlog.done(await backlog.take(1, 1))
    assert await is_over(waiting)
