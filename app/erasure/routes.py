"""/v1/erase: erase a memory, session, profile, user or account, with a receipt."""

from uuid import UUID

from fastapi import Request, Response
from fastapi.security import SecurityScopes

from app.core.http.strict_requests import own_router
from app.core.resources import Resources, ResourcesDep
from app.erasure.erase import erase, find_erasure
from app.erasure.models import ErasureState
from app.erasure.schemas import EraseRequest, ErasureAnswer, Receipt
from app.identity.administration import require_administrator, require_confirmed_caller
from app.identity.caller import Caller, MemoryReader, MemoryWriter, check_scopes
from app.identity.scopes import Scope

router = own_router(prefix="/v1/erase", tags=["Erasure"])
RUNNING: dict[int | str, dict[str, object]] = {202: {"model": ErasureAnswer}}


@router.post("", responses=RUNNING)
async def erase_data(
    request: Request, body: EraseRequest, caller: MemoryWriter, resources: ResourcesDep, response: Response
) -> ErasureAnswer:
    """Erases everything of one subject from every store, looks again, and returns a receipt without content.

    Responds with 202 if that takes longer than ten seconds; `GET /v1/erase/{id}` then returns the receipt."""
    if body.user_id is not None:
        caller.act_for(body.user_id)
        await require_confirmed_caller(request, caller, resources)
    if body.account is not None:
        await _check_account(request, caller, resources, body.account)
    erasure = await erase(resources, caller, body.subject)
    if erasure.state == ErasureState.RUNNING:
        response.status_code = 202
    return ErasureAnswer(receipt=Receipt.of(erasure))


@router.get("/{erasure_id}")
async def get_receipt(erasure_id: UUID, caller: MemoryReader, resources: ResourcesDep) -> ErasureAnswer:
    """Returns the receipt of an erasure."""
    return ErasureAnswer(receipt=Receipt.of(await find_erasure(resources, caller, erasure_id)))


async def _check_account(request: Request, caller: Caller, resources: Resources, account_id: UUID) -> None:
    """A person may end the own account, and an administrator may erase what the project holds of another one."""
    if account_id == caller.account_id:
        return await require_confirmed_caller(request, caller, resources)
    check_scopes(caller, SecurityScopes([Scope.ADMIN]))
    await require_administrator(request, caller, resources)
