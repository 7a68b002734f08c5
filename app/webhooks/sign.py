"""Sign deliveries with HMAC-SHA256 over `<timestamp>.<body>`, so that receivers can verify the sender."""

import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID

BRAND = "whsec_"


def derive_secret(pepper: bytes, webhook_id: UUID, version: int) -> str:
    """Derive the secret instead of storing it, so that a copy of the database cannot sign deliveries."""
    identifier = f"webhook:{webhook_id}:{version}".encode()
    return BRAND + hmac.new(pepper, identifier, hashlib.sha256).hexdigest()


def sign(secret: str, timestamp: int, body: bytes) -> str:
    signed = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def webhook_headers(
    secrets: list[str], delivery_id: UUID, event_type: str, timestamp: int, body: bytes
) -> Mapping[str, str]:
    """For a day after a rotation there is one signature for each secret, so that a receiver can use either."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Keepsake-Webhooks/1",
        "X-Keepsake-Event": event_type,
        "X-Keepsake-Delivery": str(delivery_id),
        "X-Keepsake-Timestamp": str(timestamp),
        "X-Keepsake-Signature": ",".join(f"v1={sign(secret, timestamp, body)}" for secret in secrets),
    }
