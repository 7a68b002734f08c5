"""The webhook client connects to checked addresses only and follows no redirects."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.adapters.webhook_client import HttpWebhookClient, Resolve
from app.core.errors import NotDelivered
from tests.patience import PATIENCE_SECONDS
from tests.webhooks.receiver import ENDLESS, HANGS, REDIRECTS, Receiver


def answers(*each: Sequence[str]) -> Resolve:
    """A resolver that returns another address each time, like an attacker's."""
    left = list(each)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


@asynccontextmanager
async def sending(
    resolve: Resolve | None = None, *, allow_private: bool = False, seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[HttpWebhookClient]:
    resolver: dict[str, Any] = {"resolve": resolve} if resolve else {}
    courier = HttpWebhookClient(allow_private=allow_private, timeout_seconds=seconds, **resolver)
    yield courier
    await courier.close()


async def test_host_name_of_loopback_is_refused(receiver: Receiver) -> None:
    port = receiver.url.split(":")[2]
    async with sending(answers(["127.0.0.1"])) as courier:
        with pytest.raises(NotDelivered, match="private network"):
            await courier.post(f"http://inside.example:{port}", {}, b"{}")
    assert receiver.requests == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_every_notation_of_loopback_is_refused(host: str, receiver: Receiver) -> None:
    port = receiver.url.split(":")[2]
    async with sending() as courier:
        with pytest.raises(NotDelivered):
            await courier.post(f"http://{host}:{port}", {}, b"{}")
    assert receiver.requests == 0


async def test_private_address_among_public_ones_is_refused(receiver: Receiver) -> None:
    async with sending(answers(["1.1.1.1", "10.0.0.1"])) as courier:
        with pytest.raises(NotDelivered, match="private network"):
            await courier.post("http://mixed.example", {}, b"{}")


async def test_host_name_is_resolved_once_and_the_checked_address_is_used(receiver: Receiver) -> None:
    """If the name were resolved again for the connection, the check would be useless."""
    port, asked = receiver.url.rstrip("/").split(":")[2], []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with sending(resolve, allow_private=True) as courier:
        assert await courier.post(f"http://once.example:{port}/", {}, b"{}") == 200
    assert asked == ["once.example"]
    assert receiver.headers[0]["host"] == f"once.example:{port}"


async def test_address_of_each_delivery_is_checked(receiver: Receiver) -> None:
    port = receiver.url.rstrip("/").split(":")[2]
    async with sending(answers(["127.0.0.1"], ["127.0.0.1"]), allow_private=True) as courier:
        assert await courier.post(f"http://a.example:{port}/", {}, b"{}") == 200
        courier._pool._network_backend._allow_private = False  # type: ignore[attr-defined]  # as after a new setting
        with pytest.raises(NotDelivered, match="private network"):
            await courier.post(f"http://a.example:{port}/", {}, b"{}")


@pytest.mark.parametrize(
    ("behaviour", "reason", "status"),
    [(REDIRECTS, "redirect", 307), (500, "error", 500), (404, "error", 404), (HANGS, "in time", None)],
)
async def test_error_response_is_not_delivered(
    behaviour: int | str, reason: str, status: int | None, receiver: Receiver
) -> None:
    receiver.usual = behaviour
    async with sending(allow_private=True, seconds=1 if behaviour == HANGS else PATIENCE_SECONDS) as courier:
        with pytest.raises(NotDelivered, match=reason) as refused:
            await courier.post(receiver.url, {}, b"{}")
    assert refused.value.status == status
    assert receiver.requests == 1


async def test_response_body_is_not_read(receiver: Receiver) -> None:
    receiver.usual = ENDLESS
    async with sending(allow_private=True) as courier:
        assert await courier.post(receiver.url, {}, b"{}") == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-name.invalid/"])
async def test_unreachable_receiver_is_not_delivered(url: str) -> None:
    async with sending(allow_private=True, seconds=0.5) as courier:
        with pytest.raises(NotDelivered):
            await courier.post(url, {}, b"{}")
