"""Delete what belongs to an account, before the account itself is deleted."""

from itertools import groupby
from uuid import UUID

from cryptography.fernet import Fernet
from sqlalchemy import text

from app.core.database.database import Database
from app.core.errors import AppError, Conflict
from app.core.ports import Identity, ShortTerm
from app.projects.provisioning import delete_short_term_memory, erase_account_data
from app.sessions.window import WindowStore

SELECT_SESSIONS_OF_ACCOUNT_SQL = text(
    "select project_id, session_id from private.sessions_of_account(:account) order by project_id"
)


HELD = (
    "This user is under a legal hold, so nothing of it may be erased. Lift the hold first, with"
    " `DELETE /v1/admin/holds/{user_id}` (scope projects:write)."
)
IS_HELD_SQL = text("select private.account_is_held(:account)")


async def delete_account(identity: Identity, account_id: UUID) -> bool:
    """Returns False if there is no such account any more."""
    try:
        await identity.admin_delete(account_id)
    except AppError as error:
        if error.reason != "user_not_found":
            raise
        return False
    return True


async def check_not_held(database: Database, account_id: UUID) -> None:
    async with database.system() as tx:
        if await tx.scalar(IS_HELD_SQL, {"account": account_id}):
            raise Conflict(HELD)


async def erase_account(database: Database, short_term: ShortTerm, account_id: UUID) -> None:
    """Its organizations and projects, its own rows in the projects of others, and the windows of all their sessions."""
    await check_not_held(database, account_id)
    async with database.system() as tx:
        sessions = (await tx.execute(SELECT_SESSIONS_OF_ACCOUNT_SQL, {"account": account_id})).all()
    deleted_projects = await erase_account_data(database, account_id)
    for project_id, rows in groupby(sessions, key=lambda row: row.project_id):
        # Windows are deleted by their names, so any key will do.
        windows = WindowStore(short_term, Fernet.generate_key(), project_id)
        await windows.delete(*(row.session_id for row in rows))
    await delete_short_term_memory(short_term, deleted_projects)
