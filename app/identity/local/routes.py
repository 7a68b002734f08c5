"""GoTrue's routes for signing up, signing in and managing one's own account."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.identity.local.admin import invite
from app.identity.local.dependencies import (
    CurrentAccount,
    OriginDep,
    ProviderDep,
    RedirectTo,
    RequestLimit,
    RequireSecretKey,
)
from app.identity.local.errors import IdentityError, refuse
from app.identity.local.flows import recover, send_otp, sign_in, sign_up, update_account, verify
from app.identity.local.flows.verify import FIRST_ADDRESS_CONFIRMED
from app.identity.local.mail.redirects import choose_redirect, with_query
from app.identity.local.provider import IdentityProvider
from app.identity.local.schemas import (
    EmailBody,
    InviteBody,
    OtpBody,
    ResendBody,
    SignUpBody,
    TokenBody,
    UserBody,
    VerifyBody,
    user_json,
)
from app.identity.local.storage.one_time_tokens import CODE_FLOW
from app.identity.local.storage.sessions import RequestOrigin, Scope

router = APIRouter()

JWKS_SECONDS = 600
SWITCHED_OFF_GRANTS = {
    "id_token": IdentityError(400, "provider_disabled", "Sign-in with an external provider is disabled"),
    "web3": IdentityError(400, "web3_provider_disabled", "Web3 provider is disabled"),
}


@router.get("/health")
async def health() -> dict[str, str]:
    return {"name": "Keepsake identity", "version": "1", "description": "Accounts compatible with Supabase Auth"}


@router.get("/settings")
async def settings(provider: ProviderDep) -> dict[str, object]:
    return {
        "external": {"email": True, "phone": False, "anonymous_users": provider.settings.anonymous_sign_in},
        "disable_signup": not provider.settings.signups_open,
        "mailer_autoconfirm": provider.settings.autoconfirm,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
    }


@router.get("/.well-known/jwks.json")
async def jwks(provider: ProviderDep) -> Response:
    headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}"}
    return JSONResponse({"keys": [dict(key) for key in provider.keys.public()]}, headers=headers)


@router.post("/signup", dependencies=[RequestLimit])
async def post_sign_up(
    body: SignUpBody, provider: ProviderDep, origin: OriginDep, redirect_to: RedirectTo = None
) -> dict[str, object]:
    return await sign_up.sign_up(provider, body, origin, redirect_to)


@router.post("/invite", dependencies=[RequireSecretKey])
async def post_invite(body: InviteBody, provider: ProviderDep, redirect_to: RedirectTo = None) -> dict[str, object]:
    return await invite.invite(provider, body, redirect_to)


@router.post("/token")
async def post_token(
    body: TokenBody, provider: ProviderDep, origin: OriginDep, grant_type: str = ""
) -> dict[str, object]:
    if grant_type == "password":
        return await sign_in.sign_in(provider, body, origin)
    if grant_type == "refresh_token":
        return await sign_in.refresh(provider, body, origin)
    if grant_type == "pkce":
        return await sign_in.exchange_code(provider, body, origin)
    if grant_type in SWITCHED_OFF_GRANTS:
        refuse(SWITCHED_OFF_GRANTS[grant_type])
    raise IdentityError(400, "invalid_credentials", "unsupported_grant_type")


@router.get("/user")
async def get_user(current: CurrentAccount) -> dict[str, object]:
    return user_json(current.account)


@router.put("/user")
async def put_user(
    body: UserBody, current: CurrentAccount, provider: ProviderDep, redirect_to: RedirectTo = None
) -> dict[str, object]:
    return await update_account.change_account(provider, current, body, redirect_to)


@router.post("/logout", status_code=204)
async def post_logout(current: CurrentAccount, provider: ProviderDep, scope: Scope = "global") -> None:
    async with provider.database.system() as tx:
        await provider.sessions(tx).end(current.account.id, scope, current.session.id)


@router.post("/recover", dependencies=[RequestLimit])
async def post_recover(body: EmailBody, provider: ProviderDep, redirect_to: RedirectTo = None) -> dict[str, object]:
    await recover.recover(provider, body, redirect_to)
    return {}


@router.post("/otp", dependencies=[RequestLimit])
@router.post("/magiclink", dependencies=[RequestLimit])
async def post_otp(body: OtpBody, provider: ProviderDep, redirect_to: RedirectTo = None) -> dict[str, object]:
    await send_otp.send_otp(provider, body, redirect_to)
    return {}


@router.post("/resend", dependencies=[RequestLimit])
async def post_resend(body: ResendBody, provider: ProviderDep, redirect_to: RedirectTo = None) -> dict[str, object]:
    await recover.resend(provider, body, redirect_to)
    return {}


@router.get("/reauthenticate")
async def get_reauthenticate(current: CurrentAccount, provider: ProviderDep) -> dict[str, object]:
    await recover.reauthenticate(provider, current)
    return {}


@router.post("/verify", dependencies=[RequestLimit])
async def post_verify(body: VerifyBody, provider: ProviderDep, origin: OriginDep) -> dict[str, object]:
    session = await verify.verify(provider, body, origin)
    return {"code": "200", "msg": FIRST_ADDRESS_CONFIRMED} if session is None else session


@router.get("/verify", dependencies=[RequestLimit])
async def get_verify(
    provider: ProviderDep, origin: OriginDep, token: str = "", type: str = "", redirect_to: RedirectTo = None
) -> Response:
    """The target of links in e-mails. A session goes into the URL fragment, which browsers never send to a server."""
    target = choose_redirect(provider.settings, redirect_to)
    body = VerifyBody(type=type, token_hash=token or "-")
    if token.startswith(CODE_FLOW):
        return await _redirect_with_code(provider, body, origin, target)
    try:
        session = await verify.verify(provider, body, origin)
    except IdentityError as error:
        return RedirectResponse(f"{target}#{urlencode(_failure(error))}", 303)
    if session is None:
        return RedirectResponse(f"{target}#{urlencode({'message': FIRST_ADDRESS_CONFIRMED})}", 303)
    fields = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    fragment = urlencode({**{name: session[name] for name in fields}, "type": type})
    return RedirectResponse(f"{target}#{fragment}", 303)


async def _redirect_with_code(
    provider: IdentityProvider, body: VerifyBody, origin: RequestOrigin, target: str
) -> RedirectResponse:
    """The server of the client reads the code from the query, and exchanges it with its verifier."""
    try:
        code = await verify.verify_for_code(provider, body, origin)
    except IdentityError as error:
        failed = with_query(target, **_failure(error))
        return RedirectResponse(f"{failed}#{urlencode(_failure(error))}", 303)
    values = {"message": FIRST_ADDRESS_CONFIRMED} if code is None else {"code": code}
    return RedirectResponse(with_query(target, **values), 303)


def _failure(error: IdentityError) -> dict[str, str]:
    return {"error": "access_denied", "error_code": error.code, "error_description": error.message}
