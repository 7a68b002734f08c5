"""GoTrue's routes for signing up, signing in and managing one's own account."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.identity.local.dependencies import CurrentAccount, OriginDep, ProviderDep, RedirectTo, RequestLimit
from app.identity.local.errors import IdentityError
from app.identity.local.flows import recover, sign_in, sign_up, update_account, verify
from app.identity.local.flows.verify import FIRST_ADDRESS_CONFIRMED
from app.identity.local.mail.redirects import choose_redirect
from app.identity.local.schemas import EmailBody, ResendBody, SignUpBody, TokenBody, UserBody, VerifyBody, user_json
from app.identity.local.storage.sessions import Scope

router = APIRouter()

JWKS_SECONDS = 600


@router.get("/health")
async def health() -> dict[str, str]:
    return {"name": "Keepsake identity", "version": "1", "description": "Accounts compatible with Supabase Auth"}


@router.get("/settings")
async def settings(provider: ProviderDep) -> dict[str, object]:
    return {
        "external": {"email": True, "phone": False, "anonymous_users": False},
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


@router.post("/token")
async def post_token(
    body: TokenBody, provider: ProviderDep, origin: OriginDep, grant_type: str = ""
) -> dict[str, object]:
    if grant_type == "password":
        return await sign_in.sign_in(provider, body, origin)
    if grant_type == "refresh_token":
        return await sign_in.refresh(provider, body, origin)
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
    """The target of links in e-mails. The result goes into the URL fragment, which browsers never send to a server."""
    target = choose_redirect(provider.settings, redirect_to)
    try:
        session = await verify.verify(provider, VerifyBody(type=type, token_hash=token or "-"), origin)
    except IdentityError as error:
        failure = {"error": "access_denied", "error_code": error.code, "error_description": error.message}
        return RedirectResponse(f"{target}#{urlencode(failure)}", 303)
    if session is None:
        return RedirectResponse(f"{target}#{urlencode({'message': FIRST_ADDRESS_CONFIRMED})}", 303)
    fields = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    fragment = urlencode({**{name: session[name] for name in fields}, "type": type})
    return RedirectResponse(f"{target}#{fragment}", 303)
