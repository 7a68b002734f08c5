"""OAuth 2.1 for remote clients of /mcp: metadata, authorization with PKCE, tokens, revocation, registration.

A person decides on the page of this server, whose sign-in works with the built-in provider and with Supabase.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel

from app.api_keys.oauth.authorize import (
    check_client,
    read_query,
    read_request,
    seal_request,
    unseal_request,
)
from app.api_keys.oauth.clients import register_client
from app.api_keys.oauth.errors import OAuthError
from app.api_keys.oauth.grant_routes import OwnGrants
from app.api_keys.oauth.grants import grant, issue_tokens, revoke
from app.core.errors import Forbidden
from app.core.http.strict_requests import RequestBody, own_router
from app.core.rate_limit import client_address
from app.core.resources import Resources, ResourcesDep
from app.identity.administration import Administrative
from app.identity.caller import Person
from app.identity.scopes import GRANTABLE, Scope

router = APIRouter(include_in_schema=False)
consent_router = own_router(include_in_schema=False)
OPEN = {"Access-Control-Allow-Origin": "*"}
PAGE = "/#authorize/"


def issuer_of(resources: Resources) -> str:
    return resources.config.base_url.rstrip("/")


@router.get("/.well-known/oauth-protected-resource")
@router.get("/.well-known/oauth-protected-resource/mcp")
async def describe_resource(resources: ResourcesDep) -> JSONResponse:
    """RFC 9728."""
    issuer = issuer_of(resources)
    return JSONResponse(
        {
            "resource": f"{issuer}/mcp",
            "authorization_servers": [resources.config.oauth_issuer or issuer],
            "scopes_supported": list(GRANTABLE),
            "bearer_methods_supported": ["header"],
            "resource_name": "Keepsake",
        },
        headers=OPEN,
    )


@router.get("/.well-known/oauth-authorization-server")
async def describe_server(resources: ResourcesDep) -> JSONResponse:
    """RFC 8414."""
    issuer = issuer_of(resources)
    registration = {"registration_endpoint": f"{issuer}/oauth/register"} if resources.config.oauth_registration else {}
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "token_endpoint": f"{issuer}/oauth/token",
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            **registration,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "scopes_supported": list(GRANTABLE),
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
        },
        headers=OPEN,
    )


@router.get("/oauth/authorize")
async def authorize(request: Request, resources: ResourcesDep) -> Response:
    """Checks the request, and shows it to the person. Reading a document counts for the address."""
    await resources.limits.admit_unauthenticated(client_address(request))
    try:
        query = read_query(request.query_params.multi_items())
        client, redirect_uri = await check_client(resources, query)
    except OAuthError as error:
        return error.response()
    wanted = read_request(client, redirect_uri, query, issuer_of(resources))
    return RedirectResponse(PAGE + seal_request(wanted, resources.key_pepper), 302)


class Decision(RequestBody):
    request: str
    approve: bool


class Decided(BaseModel):
    redirect_to: str


@consent_router.post("/oauth/consent", dependencies=[Administrative])
async def decide(body: Decision, caller: Person, tx: OwnGrants, resources: ResourcesDep) -> Decided:
    """The person's answer, from the page. A grant lets a client act as the person, so it needs the second factor."""
    wanted = unseal_request(body.request, resources.key_pepper)
    issuer = issuer_of(resources)
    if wanted.error or not body.approve:
        return Decided(redirect_to=wanted.refusal(issuer))
    scopes = frozenset[Scope](wanted.scopes) & caller.scopes
    if not scopes:
        raise Forbidden("Your role in this project has none of the scopes that the application asks for.")
    code = await grant(tx, caller, wanted, scopes, resources.key_pepper)
    return Decided(redirect_to=wanted.redirect(issuer, code=code))


@router.post("/oauth/token")
async def exchange(request: Request, resources: ResourcesDep) -> JSONResponse:
    try:
        return JSONResponse(await issue_tokens(resources, await read_form(request)), headers=OPEN)
    except OAuthError as error:
        return error.response()


@router.post("/oauth/revoke")
async def end_grant(request: Request, resources: ResourcesDep) -> JSONResponse:
    await revoke(resources, (await read_form(request)).get("token", ""))
    return JSONResponse({}, headers=OPEN)


@router.post("/oauth/register")
async def register(request: Request, resources: ResourcesDep) -> JSONResponse:
    """RFC 7591, where the operator allows it."""
    if not resources.config.oauth_registration:
        return OAuthError(
            "access_denied", "Registration is switched off. The operator can set OAUTH_REGISTRATION."
        ).response()
    try:
        body: Any = json.loads(await request.body())
        return JSONResponse(register_client(resources, body), 201, OPEN)
    except ValueError:
        return OAuthError("invalid_client_metadata", "The body is not JSON.").response()
    except OAuthError as error:
        return error.response()


async def read_form(request: Request) -> Mapping[str, str]:
    """A parameter that is sent twice makes the request invalid (RFC 6749)."""
    pairs = parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True, max_num_fields=50)
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}
