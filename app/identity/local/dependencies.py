"""Who asks, from where: the credentials and addresses of a request to the provider."""

import hmac
from typing import Annotated

from fastapi import Depends, Query, Request
from jose import jwt
from jose.exceptions import JOSEError

from app.identity.local.errors import IdentityError
from app.identity.local.provider import LocalIdentity, SignedIn, authenticate
from app.identity.local.schemas import unauthorized
from app.identity.local.sessions import Origin

FORWARDED_FOR = "Sb-Forwarded-For"
LONGEST_AGENT = 512


async def _house(request: Request) -> LocalIdentity:
    house = request.app.state.house
    assert isinstance(house, LocalIdentity)
    return house


House = Annotated[LocalIdentity, Depends(_house)]


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _signed_in(request: Request, house: House) -> SignedIn:
    token = _bearer(request)
    if not token or token == request.headers.get("apikey"):
        raise unauthorized()
    return await authenticate(house, token)


def _is_secret(house: LocalIdentity, key: str) -> bool:
    return hmac.compare_digest(key.encode(), house.settings.secret_key.encode())


async def _origin(request: Request, house: House) -> Origin:
    """Our own server calls for many people: with the secret key it may say for which address, as in Supabase."""
    address = request.client.host if request.client else ""
    forwarded = request.headers.get(FORWARDED_FOR)
    if forwarded and _is_secret(house, request.headers.get("apikey", "")):
        address = forwarded.strip()
    return Origin(address, request.headers.get("User-Agent", "")[:LONGEST_AGENT])


async def _admin(request: Request, house: House) -> None:
    """The secret key itself, or a token of ours for the role `service_role`."""
    token = _bearer(request) or request.headers.get("apikey", "")
    if not token:
        raise unauthorized()
    if not _is_secret(house, token) and not _is_service_token(house, token):
        raise IdentityError(403, "not_admin", "User not allowed")


def _is_service_token(house: LocalIdentity, token: str) -> bool:
    options = {"require_exp": True, "require_iss": True, "verify_aud": False}
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in house.keys.public() if key["kid"] == kid), None)
        if key is None:
            return False
        claims = jwt.decode(token, key, algorithms=["ES256"], issuer=house.settings.issuer, options=options)
    except (JOSEError, RecursionError, TypeError):
        return False
    return bool(claims.get("role") == "service_role")


async def _limited(house: House, origin: Annotated[Origin, Depends(_origin)]) -> None:
    await house.lockout.request(origin.address)


Person = Annotated[SignedIn, Depends(_signed_in)]
From = Annotated[Origin, Depends(_origin)]
RedirectTo = Annotated[str | None, Query(max_length=2048)]
Limited = Depends(_limited)
Admin = Depends(_admin)
