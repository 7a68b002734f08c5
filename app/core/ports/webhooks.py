"""The client that sends webhooks."""

from collections.abc import Mapping
from typing import Protocol


class WebhookClient(Protocol):
    """Sends a webhook and returns the status of the response. Raises NotDelivered."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int: ...

    async def get(self, url: str, max_bytes: int) -> bytes:
        """The body of a document at an address that somebody else names. Raises NotDelivered."""
        ...

    async def close(self) -> None: ...
