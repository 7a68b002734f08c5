"""GoTrue's routes for people."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.identity.local import recover, sign_in, sign_up, update_account, verify
from app.identity.local.dependencies import From, House, Limited, Person, RedirectTo
from app.identity.local.errors import IdentityError
from app.identity.local.redirects import choose_redirect
from app.identity.local.schemas import EmailBody, ResendBody, SignUpBody, TokenBody, UserBody, VerifyBody, user_json
from app.identity.local.sessions import Scope
from app.identity.local.verify import HALF_WAY

router = APIRouter()

JWKS_SECONDS = 600


@router.get("/health")
async def health() -> dict[str, str]:
    return {"name": "Keepsake identity", "version": "1", "description": "Accounts in the shape of Supabase Auth"}


@router.get("/settings")
async def settings(house: House) -> dict[str, object]:
    return {
        "external": {"email": True, "phone": False, "anonymous_users": False},
        "disable_signup": not house.settings.signups_open,
        "mailer_autoconfirm": house.settings.autoconfirm,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
    }


@router.get("/.well-known/jwks.json")
async def jwks(house: House) -> Response:
    headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}"}
    return JSONResponse({"keys": [dict(key) for key in house.keys.public()]}, headers=headers)


@router.post("/signup", dependencies=[Limited])
async def post_sign_up(
    body: SignUpBody, house: House, origin: From, redirect_to: RedirectTo = None
) -> dict[str, object]:
    return await sign_up.sign_up(house, body, origin, redirect_to)


@router.post("/token")
async def post_token(body: TokenBody, house: House, origin: From, grant_type: str = "") -> dict[str, object]:
    if grant_type == "password":
        return await sign_in.sign_in(house, body, origin)
    if grant_type == "refresh_token":
        return await sign_in.refresh(house, body)
    raise IdentityError(400, "invalid_credentials", "unsupported_grant_type")


@router.get("/user")
async def get_user(who: Person) -> dict[str, object]:
    return user_json(who.account)


@router.put("/user")
async def put_user(
    body: UserBody, who: Person, house: House, origin: From, redirect_to: RedirectTo = None
) -> dict[str, object]:
    return await update_account.change_account(house, who, body, origin, redirect_to)


@router.post("/logout", status_code=204)
async def post_logout(who: Person, house: House, scope: Scope = "global") -> None:
    async with house.database.system() as tx:
        await house.sessions(tx).end(who.account.id, scope, who.session.id)


@router.post("/recover", dependencies=[Limited])
async def post_recover(body: EmailBody, house: House, redirect_to: RedirectTo = None) -> dict[str, object]:
    await recover.recover(house, body, redirect_to)
    return {}


@router.post("/resend", dependencies=[Limited])
async def post_resend(body: ResendBody, house: House, redirect_to: RedirectTo = None) -> dict[str, object]:
    await recover.resend(house, body, redirect_to)
    return {}


@router.get("/reauthenticate")
async def get_reauthenticate(who: Person, house: House) -> dict[str, object]:
    await recover.reauthenticate(house, who)
    return {}


@router.post("/verify", dependencies=[Limited])
async def post_verify(body: VerifyBody, house: House, origin: From) -> dict[str, object]:
    session = await verify.verify(house, body, origin)
    return {"code": "200", "msg": HALF_WAY} if session is None else session


@router.get("/verify", dependencies=[Limited])
async def get_verify(
    house: House, origin: From, token: str = "", type: str = "", redirect_to: RedirectTo = None
) -> Response:
    """Where a link in a mail leads; what came of it goes into the fragment, which no server sees."""
    target = choose_redirect(house.settings, redirect_to)
    try:
        session = await verify.verify(house, VerifyBody(type=type, token_hash=token or "-"), origin)
    except IdentityError as error:
        told = {"error": "access_denied", "error_code": error.code, "error_description": error.message}
        return RedirectResponse(f"{target}#{urlencode(told)}", 303)
    if session is None:
        return RedirectResponse(f"{target}#{urlencode({'message': HALF_WAY})}", 303)
    shown = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    fragment = urlencode({**{name: session[name] for name in shown}, "type": type})
    return RedirectResponse(f"{target}#{fragment}", 303)
