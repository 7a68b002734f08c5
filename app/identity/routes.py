"""/v1/auth: sign-up, sign-in and the caller's own account, with Supabase or the embedded provider."""

from fastapi import Request, Response

from app.core.errors import Forbidden
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.ports.accounts import SignOutScope
from app.core.ports.signed_in import Account
from app.core.rate_limit import client_address, limit_sign_in
from app.core.resources import ResourcesDep
from app.identity.administration import AdministersAccount
from app.identity.caller import CredentialDep, SignedInAccount
from app.identity.refresh_cookie import RefreshCookieDep
from app.identity.schemas import (
    AccountPatch,
    AccountRead,
    AuthSessionRead,
    ConfirmationRequired,
    Login,
    Logout,
    Recover,
    Refresh,
    Resend,
    SignUp,
    Verify,
)

router = own_router(prefix="/v1/auth", tags=["Accounts"])

SIGN_UP_CLOSED = "Sign-ups are disabled. Ask the operator for an account."
EMAIL_SENT = "If an account with this e-mail address exists, an e-mail has been sent."
SIGN_UP_RESPONSES: dict[int | str, dict[str, object]] = {202: {"model": ConfirmationRequired}}
VERIFY_RESPONSES: dict[int | str, dict[str, object]] = {202: {"model": Done}}


@router.post("/signup", response_model=AuthSessionRead | ConfirmationRequired, responses=SIGN_UP_RESPONSES)
@limit_sign_in
async def sign_up(
    request: Request, body: SignUp, resources: ResourcesDep, response: Response, cookie: RefreshCookieDep
) -> AuthSessionRead | ConfirmationRequired:
    """Creates an account and signs it in. Responds with 202 and no session if the e-mail address must be confirmed."""
    if not resources.config.sign_up_is_open:
        # Supabase has a switch of its own, which the operator may have left on.
        raise Forbidden(SIGN_UP_CLOSED, code="signup_disabled")
    result = await resources.identity.sign_up(
        body.email,
        body.password.get_secret_value(),
        body.metadata,
        redirect_to=body.redirect_to,
        ip=client_address(request),
    )
    if isinstance(result, Account):
        response.status_code = 202
        return ConfirmationRequired(user=AccountRead.of(result))
    return cookie.hold(AuthSessionRead.of(result))


@router.post("/login")
@limit_sign_in
async def log_in(request: Request, body: Login, resources: ResourcesDep, cookie: RefreshCookieDep) -> AuthSessionRead:
    """Signs in with an e-mail address and a password."""
    password = body.password.get_secret_value()
    signed_in = await resources.identity.sign_in(body.email, password, ip=client_address(request))
    return cookie.hold(AuthSessionRead.of(signed_in))


@router.post("/refresh")
@limit_sign_in
async def refresh_session(
    request: Request, resources: ResourcesDep, cookie: RefreshCookieDep, body: Refresh | None = None
) -> AuthSessionRead:
    """Returns a new access token and a new refresh token. Each refresh token can be used once.

    With `X-Refresh-Token`, a token in the body is moved into the cookie, and without one the cookie's is used.
    """
    sent = body.refresh_token if body else None
    token = sent.get_secret_value() if sent else cookie.read()
    return cookie.hold(AuthSessionRead.of(await resources.identity.refresh(token, ip=client_address(request))))


@router.post("/logout")
@limit_sign_in
async def log_out(
    request: Request,
    _: SignedInAccount,
    credential: CredentialDep,
    resources: ResourcesDep,
    cookie: RefreshCookieDep,
    body: Logout | None = None,
) -> Done:
    """Ends the session, and clears its cookie. Its access tokens are refused immediately."""
    scope = (body or Logout()).scope
    await resources.identity.sign_out(credential, scope, ip=client_address(request))
    if scope is not SignOutScope.OTHERS:
        cookie.clear()
    return Done(message="Signed out")


@router.post("/recover")
@limit_sign_in
async def recover_account(request: Request, body: Recover, resources: ResourcesDep) -> Done:
    """Sends a link to reset the password. The response does not reveal whether the account exists."""
    await resources.identity.recover(body.email, redirect_to=body.redirect_to, ip=client_address(request))
    return Done(message=EMAIL_SENT)


@router.post("/resend")
@limit_sign_in
async def resend_email(request: Request, body: Resend, resources: ResourcesDep) -> Done:
    """Resends the e-mail. The response does not reveal whether the account exists."""
    await resources.identity.resend(body.type, body.email, redirect_to=body.redirect_to, ip=client_address(request))
    return Done(message=EMAIL_SENT)


@router.post("/verify", response_model=AuthSessionRead | Done, responses=VERIFY_RESPONSES)
@limit_sign_in
async def verify_email(
    request: Request, body: Verify, resources: ResourcesDep, response: Response, cookie: RefreshCookieDep
) -> AuthSessionRead | Done:
    """Confirms an e-mail address with the link or code from an e-mail, and signs in.

    After `recovery`, set the new password with `PATCH /v1/auth/me`.
    """
    signed_in = await resources.identity.verify(body.type, body.proof(), ip=client_address(request))
    if signed_in is None:
        response.status_code = 202
        return Done(message="This address is confirmed. Now follow the link that was sent to the other address.")
    return cookie.hold(AuthSessionRead.of(signed_in))


@router.get("/me")
async def get_account(
    request: Request, _: SignedInAccount, credential: CredentialDep, resources: ResourcesDep
) -> AccountRead:
    """Returns the signed-in account."""
    return AccountRead.of(await resources.identity.get_account(credential, ip=client_address(request)))


@router.patch("/me")
@limit_sign_in
async def change_account(
    request: Request, body: AccountPatch, _: SignedInAccount, credential: CredentialDep, resources: ResourcesDep
) -> AccountRead:
    """Changes the e-mail address, the password or the metadata of the signed-in account."""
    changed = await resources.identity.update_account(
        credential, body.change(), redirect_to=body.redirect_to, ip=client_address(request)
    )
    return AccountRead.of(changed)


@router.delete("/me", dependencies=[AdministersAccount])
async def delete_account(
    request: Request, _: SignedInAccount, credential: CredentialDep, resources: ResourcesDep, cookie: RefreshCookieDep
) -> Done:
    """Deletes the account with all organizations and projects that it alone owns, and its own data elsewhere."""
    account = await resources.identity.get_account(credential, ip=client_address(request))
    # Check admin access first, so that no data is erased when the account cannot be deleted afterwards.
    await resources.identity.admin_get(account.id)
    await resources.erase_account(account.id)
    await resources.identity.admin_delete(account.id)
    cookie.clear()
    return Done(message="Account deleted")
