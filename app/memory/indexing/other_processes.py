"""Memories that other processes have acknowledged and not indexed yet: the ledger tells which they are."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database

MAX_ROWS = 1000
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.01, 0.1
MAX_SECONDS = 2.0
TAKE_OVER_SECONDS = 0.5
"""A process that has not indexed a memory by then is busy, or it has ended and left the memory behind."""
MAX_TAKEN_OVER = 64
GIVEN_UP_SECONDS = 60.0
"""By then the sweep has indexed what a process left behind when it ended."""
# Messages of chat turns are episodes with a source.
CONDITIONS = """
project_id = :project_id and state = 'pending' and archived_at is null
  and (:include_chat or kind <> 'episode' or source_message_id is null)
"""
SELECT_PENDING_OF_PROJECT_SQL = text(
    f"select id from memories where {CONDITIONS} and kind <> 'message' limit {MAX_ROWS}"  # noqa: S608
)
SELECT_PENDING_SQL = text(
    f"select id from memories where {CONDITIONS} and namespace = any(:namespaces) limit {MAX_ROWS}"  # noqa: S608
)
SELECT_STILL_PENDING_SQL = text(
    "select id from memories where id = any(:ids) and state = 'pending' and archived_at is null"
)


class OtherProcesses:
    """`take_over` indexes memories of a project in this process."""

    def __init__(self, database: Database, take_over: Callable[[UUID, Sequence[UUID]], Awaitable[None]]) -> None:
        self._database = database
        self._take_over = take_over
        self._given_up: dict[UUID, float] = {}

    async def wait_until_indexed(
        self,
        project_id: UUID,
        namespaces: Sequence[str] | None,
        *,
        include_chat: bool,
        is_own: Callable[[UUID], bool],
        seconds: float | None,
    ) -> bool:
        """Returns False if that takes longer than `seconds`, or two. Later calls do not wait for the same memories."""
        pending = await self._load_pending(project_id, namespaces, include_chat=include_chat)
        self._forget_old()
        waiting = [each for each in pending if each not in self._given_up and not is_own(each)]
        try:
            async with asyncio.timeout(MAX_SECONDS if seconds is None else min(seconds, MAX_SECONDS)):
                await self._wait(project_id, waiting)
        except TimeoutError:
            self.give_up(waiting)
            return False
        return True

    def give_up(self, ids: Sequence[UUID]) -> None:
        """These memories could not be indexed: only the sweep will do so."""
        self._forget_old()
        self._given_up.update(dict.fromkeys(ids, time.monotonic() + GIVEN_UP_SECONDS))

    async def _load_pending(
        self, project_id: UUID, namespaces: Sequence[str] | None, *, include_chat: bool
    ) -> list[UUID]:
        values: dict[str, object] = {"project_id": project_id, "include_chat": include_chat}
        statement = SELECT_PENDING_OF_PROJECT_SQL if namespaces is None else SELECT_PENDING_SQL
        if namespaces is not None:
            values["namespaces"] = list(namespaces)
        return [row.id for row in await self._database.pipeline(project_id, None, (statement, values))]

    async def _wait(self, project_id: UUID, ids: Sequence[UUID]) -> None:
        pause, started_at, taken_over = FIRST_PAUSE_SECONDS, time.monotonic(), False
        while ids:
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            if not taken_over and time.monotonic() - started_at > TAKE_OVER_SECONDS:
                taken_over = True
                await self._take_over(project_id, ids[:MAX_TAKEN_OVER])
            statement = (SELECT_STILL_PENDING_SQL, {"ids": list(ids)})
            ids = [row.id for row in await self._database.pipeline(project_id, None, statement)]

    def _forget_old(self) -> None:
        if self._given_up:
            now = time.monotonic()
            self._given_up = {each: until for each, until in self._given_up.items() if until > now}
