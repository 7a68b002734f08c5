"""/v1/auth: sign up, in and out, and one's own account. The same wherever accounts live."""

from fastapi import APIRouter, Request, Response

from app.core.accounts import Account
from app.core.http.schemas import Done
from app.core.rate_limit import client_address, limit_sign_in
from app.core.resources import ResourcesDep
from app.identity.caller import CredentialDep, Person
from app.identity.schemas import (
    AccountPatch,
    AccountRead,
    ConfirmationRequired,
    Login,
    Logout,
    Recover,
    Refresh,
    Resend,
    SessionRead,
    SignUp,
    Verify,
)

router = APIRouter(prefix="/v1/auth", tags=["Accounts"])

MAILED = "If this address has an account, a mail is on its way"
SIGN_UP_ANSWERS: dict[int | str, dict[str, object]] = {202: {"model": ConfirmationRequired}}
VERIFY_ANSWERS: dict[int | str, dict[str, object]] = {202: {"model": Done}}


@router.post("/signup", response_model=SessionRead | ConfirmationRequired, responses=SIGN_UP_ANSWERS)
@limit_sign_in
async def sign_up(
    request: Request, body: SignUp, resources: ResourcesDep, response: Response
) -> SessionRead | ConfirmationRequired:
    """An account of one's own. Where addresses are confirmed by mail, 202 and no session yet."""
    made = await resources.identity.sign_up(
        body.email,
        body.password.get_secret_value(),
        body.metadata,
        redirect_to=body.redirect_to,
        ip=client_address(request),
    )
    if isinstance(made, Account):
        response.status_code = 202
        return ConfirmationRequired(user=AccountRead.of(made))
    return SessionRead.of(made)


@router.post("/login")
@limit_sign_in
async def log_in(request: Request, body: Login, resources: ResourcesDep) -> SessionRead:
    return SessionRead.of(
        await resources.identity.sign_in(body.email, body.password.get_secret_value(), ip=client_address(request))
    )


@router.post("/refresh")
@limit_sign_in
async def refresh(request: Request, body: Refresh, resources: ResourcesDep) -> SessionRead:
    """A new access token, and a new refresh token: each is good once."""
    return SessionRead.of(
        await resources.identity.refresh(body.refresh_token.get_secret_value(), ip=client_address(request))
    )


@router.post("/logout")
@limit_sign_in
async def log_out(
    request: Request,
    _: Person,
    credential: CredentialDep,
    resources: ResourcesDep,
    body: Logout | None = None,
) -> Done:
    """Acts at once: the access tokens of an ended session are refused from here on."""
    await resources.identity.sign_out(credential, (body or Logout()).scope, ip=client_address(request))
    return Done(message="Signed out")


@router.post("/recover")
@limit_sign_in
async def recover(request: Request, body: Recover, resources: ResourcesDep) -> Done:
    """Mails a link with which to set a new password. Answers alike whether or not there is such an account."""
    await resources.identity.recover(body.email, redirect_to=body.redirect_to, ip=client_address(request))
    return Done(message=MAILED)


@router.post("/resend")
@limit_sign_in
async def resend(request: Request, body: Resend, resources: ResourcesDep) -> Done:
    """Mails a link once more. Answers alike whether or not there is such an account."""
    await resources.identity.resend(body.type, body.email, redirect_to=body.redirect_to, ip=client_address(request))
    return Done(message=MAILED)


@router.post("/verify", response_model=SessionRead | Done, responses=VERIFY_ANSWERS)
@limit_sign_in
async def verify(request: Request, body: Verify, resources: ResourcesDep, response: Response) -> SessionRead | Done:
    """Spends what came by mail: it confirms the address and signs in. After `recovery`, PATCH /v1/auth/me."""
    signed_in = await resources.identity.verify(body.type, body.proof(), ip=client_address(request))
    if signed_in is None:
        response.status_code = 202
        return Done(message="Confirmed here: now follow the link that was sent to the other address")
    return SessionRead.of(signed_in)


@router.get("/me")
async def read_me(request: Request, _: Person, credential: CredentialDep, resources: ResourcesDep) -> AccountRead:
    return AccountRead.of(await resources.identity.get_account(credential, ip=client_address(request)))


@router.patch("/me")
@limit_sign_in
async def change_me(
    request: Request, body: AccountPatch, _: Person, credential: CredentialDep, resources: ResourcesDep
) -> AccountRead:
    changed = await resources.identity.update_account(
        credential, body.change(), redirect_to=body.redirect_to, ip=client_address(request)
    )
    return AccountRead.of(changed)


@router.delete("/me")
async def delete_me(request: Request, _: Person, credential: CredentialDep, resources: ResourcesDep) -> Done:
    """Takes the account away, and with it every organization, project and row that belongs to nobody else."""
    account = await resources.identity.get_account(credential, ip=client_address(request))
    # Asked for first: nothing may be erased where the account itself could not be deleted afterwards.
    await resources.identity.admin_get(account.id)
    await resources.erase_account(account.id)
    await resources.identity.admin_delete(account.id)
    return Done(message="Account deleted")
