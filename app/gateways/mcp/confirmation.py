"""A signed statement of what a person was asked to confirm. It has ids and digests, no content, and is not stored."""

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError

from app.core.errors import BadRequest

VALID_SECONDS = 600
PURPOSE = b"keepsake mcp confirmation\0"
NOT_VALID = "The confirmation is not valid, or has expired. Call the tool again without it, and confirm its new answer."


class DeletionStatement(BaseModel):
    caller: str
    namespace: str
    ids: tuple[UUID, ...] = ()
    texts: tuple[str, ...] = ()
    """For each id, the digest of the text that the person was shown."""
    all: Literal["everything", "today"] | None = None
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Confirmations:
    secret: bytes

    def sign(self, statement: DeletionStatement) -> str:
        dated = statement.model_copy(update={"expires_at": int(time.time()) + VALID_SECONDS})
        payload = dated.model_dump_json(exclude_defaults=True).encode()
        return base64.urlsafe_b64encode(self._digest(payload) + payload).decode()

    def verify(self, token: str, *, caller: str, namespace: str) -> DeletionStatement:
        """Only the caller that was asked can confirm, and only for the same profile."""
        try:
            signed = base64.urlsafe_b64decode(token)
            digest, payload = signed[:32], signed[32:]
            if not hmac.compare_digest(digest, self._digest(payload)):
                raise BadRequest(NOT_VALID, code="confirmation_invalid")
            statement = DeletionStatement.model_validate_json(payload)
        except (ValueError, binascii.Error, ValidationError):
            raise BadRequest(NOT_VALID, code="confirmation_invalid") from None
        if statement.expires_at < time.time() or (statement.caller, statement.namespace) != (caller, namespace):
            raise BadRequest(NOT_VALID, code="confirmation_invalid")
        return statement

    def digest_text(self, text: str) -> str:
        """Short, because a token has a hundred of them, and keyed, so that it tells nothing about the text."""
        return self._digest(b"text\0" + text.encode())[:4].hex()

    def _digest(self, payload: bytes) -> bytes:
        return hmac.digest(self.secret, PURPOSE + payload, hashlib.sha256)
