"""An authorization request: checked before a person sees it, and sealed until the person has decided."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, StringConstraints

from app.api_keys.oauth.clients import OAuthClient, find_client
from app.api_keys.oauth.errors import OAuthError
from app.api_keys.oauth.tokens import CHALLENGE, seal, unseal
from app.core.errors import BadRequest
from app.core.resources import Resources
from app.identity.scopes import GRANTABLE, Scope

VALID_SECONDS = 600
OFFLINE = "offline_access"
"""Some clients ask for it to get a refresh token, which every client gets here."""
MAX_STATE = 2000


class AuthorizationRequest(BaseModel):
    client_id: str
    client_name: str
    redirect_uri: Annotated[str, StringConstraints(max_length=500)]
    code_challenge: str
    scopes: tuple[Scope, ...]
    state: str | None = None
    error: str | None = None
    """Why it cannot be granted. The person is told, and returns to the client by themselves: an address that anyone can
    register must not make this server send browsers there (RFC 9700, open redirectors)."""
    error_description: str | None = None
    expires_at: int = 0

    def redirect(self, issuer: str, **values: str) -> str:
        """`iss` tells a client of several servers which of them answers (RFC 9207)."""
        parameters = {**values, "iss": issuer, **({"state": self.state} if self.state is not None else {})}
        return f"{self.redirect_uri}{'&' if urlsplit(self.redirect_uri).query else '?'}{urlencode(parameters)}"

    def refusal(self, issuer: str) -> str:
        if self.error is None:
            return self.redirect(issuer, error="access_denied")
        return self.redirect(issuer, error=self.error, error_description=self.error_description or "")


def read_query(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A parameter that is sent twice would be read in two ways (RFC 6749)."""
    query = dict(pairs)
    if len(query) != len(pairs):
        raise OAuthError("invalid_request", "Send each parameter once.")
    return query


async def check_client(resources: Resources, query: Mapping[str, str]) -> tuple[OAuthClient, str]:
    """Errors up to here are shown to the person: the address to send them to is not known to be the client's."""
    client = await find_client(resources, query.get("client_id", ""))
    redirect_uri = query.get("redirect_uri", "")
    if not client.allows(redirect_uri):
        raise OAuthError("invalid_request", "`redirect_uri` is not one of this client.")
    return client, redirect_uri


def read_request(
    client: OAuthClient, redirect_uri: str, query: Mapping[str, str], base_url: str
) -> AuthorizationRequest:
    try:
        return _read_valid(client, redirect_uri, query, base_url)
    except OAuthError as error:
        return AuthorizationRequest(
            client_id=client.client_id,
            client_name=client.shown_name,
            redirect_uri=redirect_uri,
            code_challenge="",
            scopes=(),
            state=query.get("state", "")[:MAX_STATE] or None,
            error=error.error,
            error_description=error.description,
        )


def _read_valid(
    client: OAuthClient, redirect_uri: str, query: Mapping[str, str], base_url: str
) -> AuthorizationRequest:
    if query.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "`response_type` must be code.")
    challenge = query.get("code_challenge", "")
    if query.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "PKCE is required: send `code_challenge` with the method S256.")
    check_resource(query.get("resource"), base_url)
    if len(query.get("state", "")) > MAX_STATE:
        raise OAuthError("invalid_request", f"`state` can have {MAX_STATE} characters.")
    return AuthorizationRequest(
        client_id=client.client_id,
        client_name=client.shown_name,
        redirect_uri=redirect_uri,
        code_challenge=challenge,
        scopes=read_scopes(query.get("scope", "")),
        state=query.get("state"),
    )


def read_scopes(text: str) -> tuple[Scope, ...]:
    wanted = [each for each in text.split() if each != OFFLINE]
    if any(each not in GRANTABLE for each in wanted):
        raise OAuthError("invalid_scope", f"The scopes are {' '.join(GRANTABLE)}.")
    return tuple(dict.fromkeys(Scope(each) for each in wanted)) or GRANTABLE


def check_resource(resource: str | None, base_url: str) -> None:
    """A token is for this server's /mcp only (RFC 8707)."""
    if resource is not None and resource.rstrip("/") not in (f"{base_url}/mcp", base_url):
        raise OAuthError("invalid_target", f"`resource` must be {base_url}/mcp.")


def seal_request(request: AuthorizationRequest, pepper: bytes) -> str:
    dated = request.model_copy(update={"expires_at": int(time.time()) + VALID_SECONDS})
    return seal("request", dated.model_dump(mode="json", exclude_none=True), pepper)


def unseal_request(text: str, pepper: bytes) -> AuthorizationRequest:
    values = unseal("request", text, pepper)
    request = AuthorizationRequest.model_validate(values) if values else None
    if request is None or request.expires_at < time.time():
        raise BadRequest(
            "This request has expired, or was changed. Begin again in the application.", code="request_expired"
        )
    return request
