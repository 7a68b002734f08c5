"""Verify access tokens of Supabase and of the embedded identity provider in the same way."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from jose import jwt
from jose.exceptions import JOSEError

from app.core.errors import ConfigurationError, Unauthorized

Jwk = Mapping[str, object]
"""A JSON Web Key. Never PEM or DER, which allow an attacker to make python-jose use another algorithm."""

AUDIENCE = "authenticated"
LEEWAY_SECONDS = 30
UNKNOWN_CREDENTIAL = "The credential is neither an access token nor an API key (which starts with ks_)."
NOT_AN_ACCOUNT = "This token was not issued to a signed-in account."
FOR_AN_APPLICATION = (
    "This token was issued to an application by the OAuth server of the identity provider, and not for this server."
)
MAX_TOKEN_LENGTH = 32_768
ALGORITHM_FAMILIES = (frozenset({"ES256", "RS256"}), frozenset({"HS256"}))


class InvalidToken(Unauthorized):
    code = "invalid_token"


class KeySource(Protocol):
    """Where an issuer's verification keys come from."""

    async def find(self, kid: str | None) -> Jwk | None: ...

    def purge(self) -> None: ...


class StaticKeys:
    """Keys that are known at the start: our own from disk, or the shared secret of an older Supabase project."""

    def __init__(self, keys: Sequence[Jwk]) -> None:
        self._keys = tuple(keys)

    async def find(self, kid: str | None) -> Jwk | None:
        return find_key(self._keys, kid)

    def purge(self) -> None:
        """Static keys are never fetched again."""


def find_key(keys: Sequence[Jwk], kid: str | None) -> Jwk | None:
    """The key with this id. A shared secret has no id, and is always the only key."""
    if len(keys) == 1 and keys[0].get("kty") == "oct":
        return keys[0]
    return next((key for key in keys if kid is not None and key.get("kid") == kid), None)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A trusted issuer of tokens, identified by the exact `iss` claim. None stands for tokens without the claim."""

    name: str | None
    keys: KeySource
    algorithms: frozenset[str] = frozenset({"ES256", "RS256"})
    resource: str | None = None
    """The audience of tokens that its OAuth server issues to applications. None refuses them all."""

    def __post_init__(self) -> None:
        if not self.algorithms or not any(self.algorithms <= family for family in ALGORITHM_FAMILIES):
            raise ConfigurationError(
                f"The issuer {self.name or 'none'} mixes two families of algorithms."
                " A shared secret (HS256) must stand alone."
            )


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. Decisions never use a claim that the account can change, such as its metadata."""

    subject: UUID
    session_id: UUID
    issuer: str
    """Empty for a token without the claim `iss`."""
    email: str
    issued_at: int
    expires_at: int
    assurance: str
    is_anonymous: bool
    client_id: str | None = None
    """The application that the token was issued to by OAuth. None for a person's own session."""
    scope: str = ""
    """What an application may do, separated by spaces."""


async def verify(token: str, issuers: Sequence[Issuer]) -> Claims:
    """Return the claims of a token that a trusted issuer signed for an account. Raises InvalidToken otherwise."""
    header, claimed = _read(token)
    issuer = _issuer_of(header, claimed, issuers)
    key = await _key_for(header, issuer)
    _check_shape(claimed)
    return _claims(_decode(token, key, issuer.name, _audience_of(claimed, issuer)), issuer.name)


def _issuer_of(header: Mapping[str, object], claimed: Mapping[str, object], issuers: Sequence[Issuer]) -> Issuer:
    """An issuer that changes its family of algorithms is listed once for each, with keys of its own."""
    named = [
        issuer for issuer in issuers if issuer.name == claimed.get("iss") and ("iss" in claimed) == bool(issuer.name)
    ]
    if not named:
        raise InvalidToken("This server does not trust the issuer of this token.")
    algorithm = str(header.get("alg"))
    return next((issuer for issuer in named if algorithm in issuer.algorithms), named[0])


def _read(token: str) -> tuple[dict[str, object], dict[str, object]]:
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise InvalidToken(UNKNOWN_CREDENTIAL)
    try:
        return jwt.get_unverified_header(token), jwt.get_unverified_claims(token)
    except (JOSEError, RecursionError):
        raise InvalidToken(UNKNOWN_CREDENTIAL) from None


async def _key_for(header: Mapping[str, object], issuer: Issuer) -> Jwk:
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise InvalidToken("This token is signed with an algorithm that its issuer does not use.")
    if "crit" in header:
        raise InvalidToken("This token requires an extension that this server does not support.")
    key = await issuer.keys.find(kid if isinstance(kid, str) else None)
    if key is None or key.get("alg") != algorithm:
        raise InvalidToken("This token is signed with a key that its issuer does not use.")
    return key


def _check_shape(claimed: Mapping[str, object]) -> None:
    """python-jose accepts any numeric type and lists of audiences, and fails with a TypeError on other types."""
    times = [claimed.get("exp"), claimed.get("iat"), claimed.get("nbf", 0)]
    if not all(type(moment) is int for moment in times):
        raise InvalidToken("This token has no valid `exp`, `iat` or `nbf` claim.")
    if not all(isinstance(claimed.get(name), str) for name in ("sub", "session_id", "role")):
        raise InvalidToken(NOT_AN_ACCOUNT)
    if not isinstance(claimed.get("aud"), str | list if _is_of_application(claimed) else str):
        raise InvalidToken(NOT_AN_ACCOUNT)


def _is_of_application(claimed: Mapping[str, object]) -> bool:
    return "client_id" in claimed


def _audience_of(claimed: Mapping[str, object], issuer: Issuer) -> str:
    """An application has what a person let it have, so its tokens do not pass for the person's own."""
    if not _is_of_application(claimed):
        return AUDIENCE
    if issuer.resource is None or not isinstance(claimed["client_id"], str):
        raise InvalidToken(FOR_AN_APPLICATION)
    return issuer.resource


def _decode(token: str, key: Jwk, issuer: str | None, audience: str) -> dict[str, object]:
    required = ("exp", "iat", "sub", "aud", "iss") if issuer else ("exp", "iat", "sub", "aud")
    options = {f"require_{name}": True for name in required}
    try:
        claims: dict[str, object] = jwt.decode(
            token,
            key,
            algorithms=[key["alg"]],
            audience=audience,
            issuer=issuer,
            options={**options, "verify_at_hash": False, "leeway": LEEWAY_SECONDS},
        )
    except JOSEError as error:
        raise InvalidToken(_jose_message(error)) from None
    return claims


def _jose_message(error: JOSEError) -> str:
    if type(error).__name__ == "ExpiredSignatureError":
        return "This token has expired. Refresh it or sign in again."
    return "This token is not valid."


def _claims(claims: Mapping[str, object], issuer: str | None) -> Claims:
    if claims["role"] != AUDIENCE:
        raise InvalidToken(NOT_AN_ACCOUNT)
    issued_at, expires_at = int(str(claims["iat"])), int(str(claims["exp"]))
    if issued_at > time.time() + LEEWAY_SECONDS:
        raise InvalidToken("This token was issued in the future.")
    return Claims(
        subject=_uuid(claims["sub"]),
        session_id=_uuid(claims["session_id"]),
        issuer=issuer or "",
        email=str(claims.get("email") or ""),
        issued_at=issued_at,
        expires_at=expires_at,
        assurance=str(claims.get("aal") or "aal1"),
        is_anonymous=claims.get("is_anonymous") is True,
        client_id=str(claims["client_id"]) if _is_of_application(claims) else None,
        scope=str(claims.get("scope") or ""),
    )


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise InvalidToken(NOT_AN_ACCOUNT) from None


class Verifier:
    """Caches verified tokens until they expire or the cache entry is a minute old.

    The cache says nothing about the session of a token: the database checks it on each request.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        remember: int = 4096,
        remember_seconds: float = 60,
        clock: Callable[[], float] = time.time,
    ) -> None:
        pairs = [(issuer.name, algorithm) for issuer in issuers for algorithm in issuer.algorithms]
        if len(set(pairs)) != len(pairs):
            raise ConfigurationError("Two token issuers have the same name and algorithm. Each has one set of keys.")
        self._issuers = tuple(issuers)
        self._limit = remember
        self._seconds = remember_seconds
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Claims]] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and known[0] > self._clock():
            return known[1]
        claims = await verify(token, self._issuers)
        self._remember(digest, claims)
        return claims

    def purge(self) -> None:
        """Drop all cached tokens and keys, so that a revoked key is not used again."""
        self._known.clear()
        for issuer in self._issuers:
            issuer.keys.purge()

    def _remember(self, digest: bytes, claims: Claims) -> None:
        self._known[digest] = (min(claims.expires_at, self._clock() + self._seconds), claims)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
