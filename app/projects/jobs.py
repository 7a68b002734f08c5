from sqlalchemy import text

from app.core.jobs import JobContext, resources_of, tasks
from app.projects.deleted_accounts import erase_deleted_accounts

DELETE_OLD_INVITATIONS_SQL = text(
    "delete from invitations where coalesce(ended_at, expires_at) < now() - interval '30 days'"
)


@tasks.periodic(cron="37 3 * * *")
@tasks.task(name="invitations.tidy", pass_context=True, queueing_lock="invitations.tidy", lock="invitations.tidy")
async def delete_old_invitations(context: JobContext, timestamp: int) -> None:
    """Invitations that ended stay visible for 30 days, then their addresses are deleted."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(DELETE_OLD_INVITATIONS_SQL)


@tasks.periodic(cron="17 * * * *")
@tasks.task(name="accounts.erase", pass_context=True, queueing_lock="accounts.erase", lock="accounts.erase")
async def erase_accounts(context: JobContext, timestamp: int) -> None:
    """Accounts that were deleted at the identity provider, where this server is not asked."""
    del timestamp
    await erase_deleted_accounts(resources_of(context).database)
