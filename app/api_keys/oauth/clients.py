"""Which client asks: one that publishes a document about itself, or one that was registered.

Nothing is stored about a client. The id of a registered one is its own description, sealed by this server.
"""

import ipaddress
import json
import re
import time
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.api_keys.oauth.errors import OAuthError
from app.api_keys.oauth.tokens import seal, unseal
from app.core.errors import NotDelivered
from app.core.resources import Resources

MAX_DOCUMENT_BYTES = 64 << 10
MAX_REDIRECT_URIS = 10
PLAIN_ADDRESS = re.compile(r"[\x21-\x7e]+")


def printable(name: str) -> str:
    """Invisible characters and those that turn the direction of writing can make a name look like another."""
    return "".join(letter for letter in name if letter.isprintable())


RedirectUri = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=rf"^{PLAIN_ADDRESS.pattern}$")]
ClientName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(printable)]
REGISTERED = "kcl_"
APP_SCHEMES = ("cursor", "vscode", "vscode-insiders", "claude")


class OAuthClient(BaseModel):
    model_config = ConfigDict(extra="ignore")

    client_id: Annotated[str, StringConstraints(min_length=1, max_length=8000)]
    client_name: ClientName | None = None
    redirect_uris: list[RedirectUri] = Field(min_length=1, max_length=MAX_REDIRECT_URIS)
    token_endpoint_auth_method: str = "none"  # noqa: S105  # the name of a method

    @property
    def shown_name(self) -> str:
        """Anybody can choose a name, so the host that answers for it is shown as well."""
        host = urlsplit(self.client_id).hostname if self.client_id.startswith("http") else None
        name = self.client_name or host or "A client without a name"
        return f"{name} ({host})" if host and host != name else name

    def allows(self, redirect_uri: str) -> bool:
        """Exactly one of its own. A program on the same computer may listen on any port (RFC 8252)."""
        if not PLAIN_ADDRESS.fullmatch(redirect_uri):
            return False
        return any(redirect_uri == known or _same_but_port(redirect_uri, known) for known in self.redirect_uris)


def _same_but_port(given: str, known: str) -> bool:
    one, other = _split(given), _split(known)
    if one is None or other is None or one.scheme != "http" or not is_loopback(other.hostname):
        return False
    return (one.scheme, one.hostname, one.path, one.query, one.fragment, one.username) == (
        *(other.scheme, other.hostname, other.path, other.query, other.fragment, other.username),
    )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def is_loopback(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def check_redirect_uris(client: OAuthClient) -> None:
    """https, a program on the same computer, or the scheme of an app; no fragment, and nothing that runs in a page."""
    for uri in client.redirect_uris:
        parts = _split(uri)
        is_web = parts is not None and (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
        )
        is_app = parts is not None and ("." in parts.scheme or parts.scheme in APP_SCHEMES)
        if parts is None or parts.fragment or parts.username or not (is_web or is_app):
            raise OAuthError(
                "invalid_redirect_uri", "A redirect URI is https, http on loopback, or an app's own scheme."
            )


async def find_client(resources: Resources, client_id: str) -> OAuthClient:
    if client_id.startswith(REGISTERED):
        values = unseal("client", client_id.removeprefix(REGISTERED), resources.key_pepper)
        if values is None:
            raise OAuthError("invalid_client", "This client is not registered here. Register it again.")
        return OAuthClient.model_validate({**values, "client_id": client_id})
    if not _may_be_document(client_id, resources.config.webhook_allow_private):
        raise OAuthError("invalid_client", "`client_id` is neither registered nor the https address of a document.")
    return await _read_document(resources, client_id)


def _may_be_document(url: str, allow_http: bool) -> bool:
    """With a path of its own, and nothing that makes its host look like another."""
    parts = _split(url)
    if parts is None or not PLAIN_ADDRESS.fullmatch(url) or parts.scheme not in ("https", "http"):
        return False
    is_plain = parts.username is None and not parts.fragment and not {".", ".."} & set(parts.path.split("/"))
    return is_plain and len(parts.path) > 1 and (allow_http or parts.scheme == "https")


async def _read_document(resources: Resources, url: str) -> OAuthClient:
    """A client ID metadata document. It is read from public addresses only, without redirects."""
    try:
        text = await resources.webhook_client.get(url, MAX_DOCUMENT_BYTES)
        document: Any = json.loads(text)
        client = OAuthClient.model_validate(document)
    except NotDelivered:
        raise OAuthError("invalid_client", "The document of this client could not be read.") from None
    except (ValueError, ValidationError, RecursionError):
        raise OAuthError("invalid_client", "The document of this client is not valid.") from None
    if client.client_id != url or client.token_endpoint_auth_method != "none":  # noqa: S105  # the name of a method
        raise OAuthError("invalid_client", "The document of this client is not about it, or asks for a secret.")
    check_redirect_uris(client)
    return client


def register_client(resources: Resources, body: object) -> dict[str, object]:
    try:
        client = OAuthClient.model_validate({**(body if isinstance(body, dict) else {}), "client_id": "new"})
    except ValidationError:
        raise OAuthError(
            "invalid_client_metadata", "Send `redirect_uris`, and a `client_name` of 100 characters."
        ) from None
    check_redirect_uris(client)
    values: dict[str, object] = {"client_name": client.client_name, "redirect_uris": client.redirect_uris}
    return {
        **values,
        "client_id": REGISTERED + seal("client", values, resources.key_pepper),
        "client_id_issued_at": int(time.time()),
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
