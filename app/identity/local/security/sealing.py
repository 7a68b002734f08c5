"""Secrets of second factors, encrypted with a key that is derived from the secret key of the provider.

The server must read them to check codes, so they cannot be stored as hashes. A copy of the database alone opens none.
"""

import base64
import binascii
import hashlib
import hmac
import os
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = "sealed:1:"
NONCE_BYTES = 12


class FactorSecrets:
    def __init__(self, secret_key: str) -> None:
        self._cipher = AESGCM(hmac.digest(secret_key.encode(), b"keepsake second factors", hashlib.sha256))

    def seal(self, factor_id: uuid.UUID, secret: str) -> str:
        """The id is authenticated too, so that a sealed secret opens for its own factor only."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), factor_id.bytes)
        return MARK + base64.urlsafe_b64encode(sealed).decode()

    def open(self, factor_id: uuid.UUID, stored: str) -> str | None:
        """None if another secret key sealed it. A secret that came from Supabase is not sealed."""
        if not stored.startswith(MARK):
            return stored
        try:
            sealed = base64.urlsafe_b64decode(stored.removeprefix(MARK))
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], factor_id.bytes).decode()
        except (InvalidTag, binascii.Error, ValueError):
            return None
