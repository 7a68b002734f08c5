"""Features of GoTrue that this provider does not offer. They answer with GoTrue's own code, never with a bare 404."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

from fastapi import APIRouter

from app.identity.local.errors import IdentityError, refuse

router = APIRouter()
NO_EXTERNAL = IdentityError(400, "validation_failed", "Unsupported provider: provider is not enabled")
NO_LINKING = IdentityError(404, "manual_linking_disabled", "Manual linking is disabled")
NO_SAML = IdentityError(404, "saml_provider_disabled", "SAML 2.0 is disabled")
NO_OAUTH_SERVER = IdentityError(404, "feature_disabled", "OAuth server is disabled")
SWITCHED_OFF = {
    ("GET", "/authorize"): NO_EXTERNAL,
    ("GET", "/callback"): NO_EXTERNAL,
    ("GET", "/user/identities/authorize"): NO_LINKING,
    ("DELETE", "/user/identities/{identity_id}"): NO_LINKING,
    ("POST", "/sso"): NO_SAML,
    ("GET", "/sso/saml/metadata"): NO_SAML,
    ("GET", "/admin/sso/providers"): NO_SAML,
    ("POST", "/admin/sso/providers"): NO_SAML,
    ("GET", "/oauth/authorize"): NO_OAUTH_SERVER,
    ("POST", "/oauth/token"): NO_OAUTH_SERVER,
    ("POST", "/oauth/clients/register"): NO_OAUTH_SERVER,
}


def _refusal(error: IdentityError) -> Callable[[], Awaitable[NoReturn]]:
    async def answer() -> NoReturn:
        refuse(error)

    return answer


for (method, path), refusal in SWITCHED_OFF.items():
    router.add_api_route(path, _refusal(refusal), methods=[method], response_model=None)
