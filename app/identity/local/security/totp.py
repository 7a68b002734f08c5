"""Codes of an authenticator app (RFC 6238): SHA-1, six digits, 30 seconds, which is what every app supports."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from urllib.parse import quote, urlencode

import segno

from app.identity.local.errors import invalid

PERIOD_SECONDS = 30
SECRET_BYTES = 20
"""The length of a SHA-1 digest, as RFC 4226 recommends."""
SKEW_STEPS = 1
"""Clocks of telephones may be up to one period early or late."""
CODE = re.compile(r"[0-9]{6}")


def new_secret() -> str:
    """In base32 without padding, as apps expect it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    digest = hmac.digest(_read_secret(secret), step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def find_step(secret: str, code: str, now: float) -> int | None:
    """The time step that the code belongs to, or None for a wrong code."""
    if CODE.fullmatch(code) is None:
        return None
    current = int(now) // PERIOD_SECONDS
    steps = range(current - SKEW_STEPS, current + SKEW_STEPS + 1)
    matching = [step for step in steps if hmac.compare_digest(code_at(secret, step), code)]
    return matching[-1] if matching else None


def _read_secret(secret: str) -> bytes:
    """Supabase stores secrets in the same form, and ignores a missing padding."""
    text = secret.strip().upper()
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        return b""


def app_uri(secret: str, issuer: str, account: str) -> str:
    """What the QR code contains."""
    label = quote(f"{issuer}:{account}", safe=":@")
    values = {"algorithm": "SHA1", "digits": 6, "issuer": issuer, "period": PERIOD_SECONDS, "secret": secret}
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"


def qr_code(uri: str) -> str:
    """As an SVG image. Clients put it into a `data:` URL unchanged, where `#` would begin the fragment."""
    try:
        code = segno.make_qr(uri, error="m")
    except segno.DataOverflowError:
        raise invalid("The issuer is too long for a QR code") from None
    drawn: str = code.svg_inline(scale=4, dark="black", light="white")
    drawn = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return drawn.replace('"#000"', '"black"').replace('"#fff"', '"white"')
