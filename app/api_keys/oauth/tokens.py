"""The texts that clients of OAuth hold. Each names its grant by a public part; only keyed hashes are stored.

None has the form of an API key, so none works outside of the resource that it was granted for.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass

from app.api_keys.key import hash_key

GRANT, CODE, REFRESH, ACCESS = "ksg", "ksc", "ksr", "kso"
ACCESS_SECONDS = 3600
CHALLENGE = re.compile(r"[0-9A-Za-z_-]{43}")
"""SHA-256 in base64url."""
SHAPE = re.compile(r"(ksc|ksr)_([0-9a-f]{24})_([0-9A-Za-z_-]{43})")
ACCESS_SHAPE = re.compile(r"kso_([0-9a-f]{24})_(\d{1,12})_([0-9a-f]{64})")
PURPOSES = {
    "access": b"keepsake oauth access\0",
    "request": b"keepsake oauth request\0",
    "client": b"keepsake oauth client\0",
    "refresh": b"keepsake oauth refresh\0",
}


@dataclass(frozen=True, slots=True)
class GrantSecret:
    prefix: str
    """The row of the grant."""
    text: str

    def hashed(self, pepper: bytes) -> bytes:
        return hash_key(self.text, pepper)

    def __repr__(self) -> str:
        return f"GrantSecret({self.prefix!r})"


def new_grant_prefix() -> str:
    return f"{GRANT}_{secrets.token_hex(12)}"


def make_secret(kind: str, prefix: str) -> GrantSecret:
    return GrantSecret(prefix, f"{kind}_{prefix.removeprefix(f'{GRANT}_')}_{secrets.token_urlsafe(32)}")


def make_refresh_token(prefix: str, pepper: bytes) -> GrantSecret:
    """Half of its secret is random and half proves that it was issued here, so that each earlier one is known again."""
    chance = secrets.token_bytes(16)
    body = f"{REFRESH}_{prefix.removeprefix(f'{GRANT}_')}_"
    return GrantSecret(prefix, body + _encode(chance + _proof(pepper, body, chance)))


def was_issued(token: GrantSecret, pepper: bytes) -> bool:
    body, secret = token.text[:-43], base64.urlsafe_b64decode(token.text[-43:] + "=")
    return hmac.compare_digest(secret[16:], _proof(pepper, body, secret[:16]))


def _proof(pepper: bytes, body: str, chance: bytes) -> bytes:
    return _digest(pepper, "refresh", body.encode() + chance)[:16]


def parse_secret(kind: str, text: str) -> GrantSecret | None:
    match = SHAPE.fullmatch(text)
    return GrantSecret(f"{GRANT}_{match[2]}", text) if match and match[1] == kind else None


def make_access_token(prefix: str, pepper: bytes) -> str:
    body = f"{ACCESS}_{prefix.removeprefix(f'{GRANT}_')}_{int(time.time()) + ACCESS_SECONDS}"
    return f"{body}_{_digest(pepper, 'access', body.encode()).hex()}"


def read_access_token(text: str, pepper: bytes) -> str | None:
    """The grant of a token that is genuine and has not expired. Whether the grant still stands is in its row."""
    match = ACCESS_SHAPE.fullmatch(text)
    if match is None or int(match[2]) < time.time():
        return None
    body = text.rpartition("_")[0]
    if not hmac.compare_digest(match[3], _digest(pepper, "access", body.encode()).hex()):
        return None
    return f"{GRANT}_{match[1]}"


def seal(purpose: str, values: dict[str, object], pepper: bytes) -> str:
    """Values that come back from a client or a page unchanged, which both can read."""
    payload = json.dumps(values, separators=(",", ":")).encode()
    return f"{_encode(payload)}.{_encode(_digest(pepper, purpose, payload))}"


def unseal(purpose: str, text: str, pepper: bytes) -> dict[str, object] | None:
    encoded, _, digest = text.partition(".")
    try:
        payload = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (ValueError, binascii.Error):
        return None
    if not hmac.compare_digest(digest.encode(), _encode(_digest(pepper, purpose, payload)).encode()):
        return None
    values: dict[str, object] = json.loads(payload)
    return values


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    return _encode(hashlib.sha256(verifier.encode()).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _digest(pepper: bytes, purpose: str, payload: bytes) -> bytes:
    return hmac.digest(pepper, PURPOSES[purpose] + payload, hashlib.sha256)
