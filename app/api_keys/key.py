"""The format of API keys, `ks_<id>_<secret><checksum>`.

Secret scanners recognise the prefix, and the checksum tells a real key from a look-alike without a lookup.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BRAND = "ks"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
SHAPE = re.compile(r"ks_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True)
class ApiKeyText:
    prefix: str
    """The public part, which is shown in lists and identifies the row."""
    whole: str

    def __repr__(self) -> str:
        return f"ApiKeyText({self.prefix!r})"


def make_key(prefix: str | None = None) -> ApiKeyText:
    """A new key, or a new secret for the key with this prefix."""
    prefix = prefix or f"{BRAND}_{_random(ID_LENGTH)}"
    body = f"{prefix}_{_random(SECRET_LENGTH)}"
    return ApiKeyText(prefix, body + checksum(body))


def parse_key(text: str) -> ApiKeyText | None:
    match = SHAPE.fullmatch(text)
    if match is None:
        return None
    body = text[:-CHECKSUM_LENGTH]
    if not hmac.compare_digest(checksum(body), match[3]):
        return None
    return ApiKeyText(f"{BRAND}_{match[1]}", text)


def hash_key(text: str, pepper: bytes) -> bytes:
    """A keyed hash, so that a stolen table cannot be searched. A fast one suffices, because the secret is random."""
    return hmac.new(pepper, text.encode(), hashlib.sha256).digest()


def checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
