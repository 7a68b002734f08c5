"""How a receiver knows that it is us: HMAC-SHA256 over `<timestamp>.<body>`, with a secret of the webhook's own."""

import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID

BRAND = "whsec_"


def secret_of(pepper: bytes, webhook_id: UUID, version: int) -> str:
    """Derived, so that no table holds it: a copy of the database signs nothing."""
    whose = f"webhook:{webhook_id}:{version}".encode()
    return BRAND + hmac.new(pepper, whose, hashlib.sha256).hexdigest()


def sign(secret: str, timestamp: int, body: bytes) -> str:
    signed = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def headers(secrets: list[str], delivery_id: UUID, event_type: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """After a rotation there are two signatures for a day: one of them is by the secret a receiver still has."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Keepsake-Webhooks/1",
        "X-Keepsake-Event": event_type,
        "X-Keepsake-Delivery": str(delivery_id),
        "X-Keepsake-Timestamp": str(timestamp),
        "X-Keepsake-Signature": ",".join(f"v1={sign(secret, timestamp, body)}" for secret in secrets),
    }
