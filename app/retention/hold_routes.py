"""/v1/admin/holds: the users whose data must be kept."""

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.identity.administration import Administrative
from app.identity.transaction import Transaction
from app.retention.holds import LegalHoldRepository
from app.retention.models import LegalHold
from app.retention.permissions import RetentionReader, RetentionWriter
from app.retention.schemas import HeldUserId, HoldRead, HoldWrite

router = own_router(prefix="/v1/admin/holds", tags=["Retention"])


@router.get("", response_model=Page[HoldRead])
async def list_holds(
    caller: RetentionReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[LegalHold]:
    """Lists the users under a legal hold."""
    return await LegalHoldRepository(tx, caller.project_id).page(limit, cursor)


@router.put("/{user_id:some_path}", response_model=HoldRead, dependencies=[Administrative])
async def put_hold(
    user_id: HeldUserId, caller: RetentionWriter, tx: Transaction, body: HoldWrite | None = None
) -> LegalHold:
    """Places a legal hold on a user, who need not exist yet. Retention and erasure then keep all data of the user."""
    return await LegalHoldRepository(tx, caller.project_id).put(user_id, body.reason if body else None)


@router.delete("/{user_id:some_path}", dependencies=[Administrative])
async def lift_hold(user_id: HeldUserId, caller: RetentionWriter, tx: Transaction) -> Done:
    """Lifts the legal hold on a user. The next retention run applies to the user again."""
    await LegalHoldRepository(tx, caller.project_id).lift(user_id)
    return Done(message="Legal hold lifted")
