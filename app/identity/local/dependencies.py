"""The credentials and the origin of a request to the identity provider."""

import hmac
from typing import Annotated

from fastapi import Depends, Query, Request
from jose import jwt
from jose.exceptions import JOSEError

from app.identity.local.errors import IdentityError
from app.identity.local.provider import AuthenticatedAccount, IdentityProvider, authenticate
from app.identity.local.schemas import unauthorized
from app.identity.local.storage.sessions import RequestOrigin

FORWARDED_FOR = "Sb-Forwarded-For"
MAX_USER_AGENT_LENGTH = 512


async def _provider(request: Request) -> IdentityProvider:
    provider = request.app.state.provider
    assert isinstance(provider, IdentityProvider)
    return provider


ProviderDep = Annotated[IdentityProvider, Depends(_provider)]


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _current_account(request: Request, provider: ProviderDep) -> AuthenticatedAccount:
    token = _bearer(request)
    if not token or token == request.headers.get("apikey"):
        raise unauthorized()
    return await authenticate(provider, token)


def _is_secret(provider: IdentityProvider, key: str) -> bool:
    return hmac.compare_digest(key.encode(), provider.settings.secret_key.encode())


async def _origin(request: Request, provider: ProviderDep) -> RequestOrigin:
    """With the secret key, our own server may forward the address of its client, as in Supabase."""
    address = request.client.host if request.client else ""
    forwarded = request.headers.get(FORWARDED_FOR)
    if forwarded and _is_secret(provider, request.headers.get("apikey", "")):
        address = forwarded.strip()
    return RequestOrigin(address, request.headers.get("User-Agent", "")[:MAX_USER_AGENT_LENGTH])


async def _require_secret_key(request: Request, provider: ProviderDep) -> None:
    """Accepts the secret key, or a token signed by us with the role `service_role`."""
    token = _bearer(request) or request.headers.get("apikey", "")
    if not token:
        raise unauthorized()
    if not _is_secret(provider, token) and not _is_service_token(provider, token):
        raise IdentityError(403, "not_admin", "User not allowed")


def _is_service_token(provider: IdentityProvider, token: str) -> bool:
    options = {"require_exp": True, "require_iss": True, "verify_aud": False}
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in provider.keys.public() if key["kid"] == kid), None)
        if key is None:
            return False
        claims = jwt.decode(token, key, algorithms=["ES256"], issuer=provider.settings.issuer, options=options)
    except (JOSEError, RecursionError, TypeError):
        return False
    return bool(claims.get("role") == "service_role")


async def _count_request(provider: ProviderDep, origin: Annotated[RequestOrigin, Depends(_origin)]) -> None:
    await provider.lockout.request(origin.address)


CurrentAccount = Annotated[AuthenticatedAccount, Depends(_current_account)]
OriginDep = Annotated[RequestOrigin, Depends(_origin)]
RedirectTo = Annotated[str | None, Query(max_length=2048)]
RequestLimit = Depends(_count_request)
RequireSecretKey = Depends(_require_secret_key)
