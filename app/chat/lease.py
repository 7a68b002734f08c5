"""One turn at a time in each session: whoever answers holds a lease, renewed while they live."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.chat.asked import Turn
from app.chat.enter import LEASE_SECONDS
from app.core.resources import Resources
from app.sessions.repository import SessionRepository

log = structlog.get_logger()
RENEW = text("""
update sessions set turn_until = clock_timestamp() + make_interval(secs => :seconds)
where project_id = :project_id and id = :id and turn_id = :turn
returning id
""")


@asynccontextmanager
async def renewed(resources: Resources, turn: Turn) -> AsyncIterator[None]:
    renewing = resources.background.start(_renew(resources, turn))
    try:
        yield
    finally:
        renewing.cancel()


async def release(resources: Resources, turn: Turn) -> None:
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        await SessionRepository(tx, turn.project_id).end_turn(turn.session_id, turn.id)


async def _renew(resources: Resources, turn: Turn) -> None:
    values = {"project_id": turn.project_id, "id": turn.session_id, "turn": turn.id, "seconds": LEASE_SECONDS}
    while True:
        await asyncio.sleep(resources.values.lease_renewed_seconds)
        try:
            if not await resources.database.at_once(turn.project_id, turn.user_id, (RENEW, values)):
                return  # it is ours no longer
        except SQLAlchemyError as error:
            log.warning("chat.lease_not_renewed", session_id=str(turn.session_id), exc_info=error)
