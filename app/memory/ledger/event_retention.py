from sqlalchemy import text

from app.core.resources import Resources

BATCH_SIZE = 5000
DELETE_OLD_EVENTS_SQL = text("select private.forget_events(:days, :most)")


async def delete_old_events(resources: Resources, *, batch_size: int = BATCH_SIZE) -> int:
    """In short transactions, because the first run may find a year of finished events. Memories stay."""
    values = {"days": resources.config.events_kept_days, "most": batch_size}
    deleted = 0
    while True:
        async with resources.database.system() as tx:
            count: int = (await tx.execute(DELETE_OLD_EVENTS_SQL, values)).scalar_one()
        deleted += count
        if count < batch_size:
            return deleted
