"""Transactions for statements that contain a filter: the client decides how long such a statement takes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from uuid import UUID

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.memory.filters.cost import COSTLY, filter_cost
from app.memory.filters.tree import Filter

FILTER_TIMEOUT_SECONDS = 5
FILTER_TOO_SLOW = (
    f"The filters took longer than {FILTER_TIMEOUT_SECONDS} seconds to check. Name a user_id, or use fewer conditions"
    " on text, keywords and metadata."
)


@asynccontextmanager
async def filter_transaction(
    database: Database,
    condition: Filter | None,
    project_id: UUID,
    user_id: str | None = None,
    account_id: UUID | None = None,
) -> AsyncIterator[AsyncSession]:
    """`Database.transaction` with a short time limit. Costly filters of one project run one at a time."""
    async with AsyncExitStack() as stack:
        if condition and filter_cost(condition) >= COSTLY:
            await stack.enter_async_context(database.costly_turn(project_id))
        with _timeout_as_bad_request():
            yield await stack.enter_async_context(
                database.transaction(project_id, user_id, account_id, statement_timeout=f"{FILTER_TIMEOUT_SECONDS}s")
            )


@contextmanager
def _timeout_as_bad_request() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise BadRequest(FILTER_TOO_SLOW, code="filter_too_slow") from error
        raise
