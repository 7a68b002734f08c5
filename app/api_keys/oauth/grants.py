"""Grants: a person's consent, its exchange for tokens, and its end.

A code or refresh token that comes a second time may have been stolen, so it ends its grant (RFC 9700).
"""

import datetime as dt
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, NoReturn

from sqlalchemy.ext.asyncio import AsyncSession

from app.api_keys.oauth.authorize import AuthorizationRequest, check_resource
from app.api_keys.oauth.errors import OAuthError
from app.api_keys.oauth.tokens import (
    ACCESS_SECONDS,
    CODE,
    REFRESH,
    GrantSecret,
    challenge_of,
    make_access_token,
    make_refresh_token,
    make_secret,
    new_grant_prefix,
    parse_secret,
    read_access_token,
    was_issued,
)
from app.api_keys.repository import ApiKeyRepository
from app.core.resources import Resources
from app.identity.caller import Caller
from app.identity.scopes import Scope

CODE_SECONDS = 60
GRANT_DAYS = 90
FIND_GRANT_SQL = "select * from private.find_grant(:prefix)"
RENEW_GRANT_SQL = "select * from private.renew_grant(:prefix, :presented, :fresh, :by_code)"
RESOLVE_KEY_SQL = "select * from private.resolve_key(:prefix)"
END_GRANT_SQL = "select * from private.end_grant(:prefix)"
NOT_VALID = "The code or token is not valid, has expired, or was used before. Ask the person to authorize again."


async def grant(
    tx: AsyncSession, caller: Caller, request: AuthorizationRequest, scopes: frozenset[Scope], pepper: bytes
) -> str:
    """Stores what the person agreed to, and returns the code that the client exchanges."""
    now = dt.datetime.now(dt.UTC)
    prefix = new_grant_prefix()
    code = make_secret(CODE, prefix)
    await ApiKeyRepository(tx, caller.project_id).add(
        name=request.client_name[:200],
        prefix=prefix,
        secret_hash=secrets.token_bytes(32),
        scopes=sorted(scopes),
        created_by=caller.account_id,
        expires_at=now + dt.timedelta(days=GRANT_DAYS),
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        code_hash=code.hashed(pepper),
        code_challenge=request.code_challenge,
        code_until=now + dt.timedelta(seconds=CODE_SECONDS),
    )
    return code.text


async def issue_tokens(resources: Resources, form: Mapping[str, str]) -> dict[str, object]:
    check_resource(form.get("resource"), resources.config.base_url.rstrip("/"))
    if form.get("grant_type") == "authorization_code":
        return await _exchange_code(resources, form)
    if form.get("grant_type") == "refresh_token":
        return await _refresh(resources, form)
    raise OAuthError("unsupported_grant_type", "`grant_type` must be authorization_code or refresh_token.")


async def _exchange_code(resources: Resources, form: Mapping[str, str]) -> dict[str, object]:
    code, row = await _find(resources, CODE, form.get("code", ""))
    presented = code.hashed(resources.key_pepper)
    if not hmac.compare_digest(presented, row.code_hash):
        raise OAuthError("invalid_grant", NOT_VALID)
    if row.code_used_at is not None:
        await _refuse_stolen(resources, code.prefix)
    verifier = form.get("code_verifier", "")
    is_whole = form.get("client_id") == row.client_id and form.get("redirect_uri") == row.redirect_uri
    if not is_whole or not hmac.compare_digest(challenge_of(verifier), row.code_challenge):
        raise OAuthError("invalid_grant", "`client_id`, `redirect_uri` or `code_verifier` is not that of the request.")
    return await _renew(resources, code, row.scopes, by_code=True)


async def _refresh(resources: Resources, form: Mapping[str, str]) -> dict[str, object]:
    token, row = await _find(resources, REFRESH, form.get("refresh_token", ""))
    if form.get("client_id") != row.client_id:
        raise OAuthError("invalid_grant", NOT_VALID)
    presented = token.hashed(resources.key_pepper)
    if not hmac.compare_digest(presented, row.refresh_hash or b""):
        was_replaced = hmac.compare_digest(presented, row.previous_refresh_hash or b"")
        if was_replaced or was_issued(token, resources.key_pepper):
            await _refuse_stolen(resources, token.prefix)
        raise OAuthError("invalid_grant", NOT_VALID)
    return await _renew(resources, token, row.scopes, by_code=False)


async def _refuse_stolen(resources: Resources, prefix: str) -> NoReturn:
    await _end(resources, prefix)
    raise OAuthError("invalid_grant", NOT_VALID)


async def _find(resources: Resources, kind: str, text: str) -> tuple[GrantSecret, Any]:
    secret = parse_secret(kind, text)
    row = await resources.database.call_private(FIND_GRANT_SQL, {"prefix": secret.prefix}) if secret else None
    if secret is None or row is None:
        raise OAuthError("invalid_grant", NOT_VALID)
    return secret, row


async def _renew(resources: Resources, secret: GrantSecret, scopes: list[str], *, by_code: bool) -> dict[str, object]:
    pepper = resources.key_pepper
    fresh = make_refresh_token(secret.prefix, pepper)
    values = {
        "prefix": secret.prefix,
        "presented": secret.hashed(pepper),
        "fresh": fresh.hashed(pepper),
        "by_code": by_code,
    }
    if not await _is_member(resources, secret.prefix):
        await _end(resources, secret.prefix)
        raise OAuthError("invalid_grant", "The person has left the project. Ask for access again.")
    if await resources.database.call_private(RENEW_GRANT_SQL, values) is None:
        # It was valid when it was looked up: it has just expired, or another request has used it meanwhile.
        await _refuse_stolen(resources, secret.prefix)
    return {
        "access_token": make_access_token(secret.prefix, pepper),
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "refresh_token": fresh.text,
        "scope": " ".join(scopes),
    }


async def _is_member(resources: Resources, prefix: str) -> bool:
    row = await resources.database.call_private(RESOLVE_KEY_SQL, {"prefix": prefix})
    return row is not None and row.creator_role is not None


async def revoke(resources: Resources, token: str) -> None:
    """Ends the whole grant. An unknown token is no error (RFC 7009)."""
    if prefix := read_access_token(token, resources.key_pepper):
        await _end(resources, prefix)
        return
    secret = parse_secret(REFRESH, token)
    row = await resources.database.call_private(FIND_GRANT_SQL, {"prefix": secret.prefix}) if secret else None
    if secret and row and hmac.compare_digest(secret.hashed(resources.key_pepper), row.refresh_hash or b""):
        await _end(resources, secret.prefix)


async def _end(resources: Resources, prefix: str) -> None:
    await resources.database.call_private(END_GRANT_SQL, {"prefix": prefix})
