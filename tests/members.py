"""Makes an account a member the way people become one: by an invitation that they accept."""

import httpx

from tests.conftest import SignedUp


async def invite(sender: httpx.AsyncClient, members: str, email: str, role: str = "READER") -> tuple[str, str]:
    """The id and the token of an invitation. `members` is the path of the members, ours or that of mem0's API."""
    sent = await sender.post(members, json={"email": email, "role": role})
    assert sent.status_code in (201, 202), sent.text
    body = sent.json()
    return body.get("invitation_id") or body["id"], body["token"]


async def accept(person: SignedUp, invitation_id: str, token: str | None) -> httpx.Response:
    return await person.client.post(f"/v1/invitations/{invitation_id}/accept", json={"token": token})


async def add_member(sender: httpx.AsyncClient, members: str, person: SignedUp, role: str = "READER") -> None:
    accepted = await accept(person, *await invite(sender, members, person.email, role))
    assert accepted.status_code == 200, accepted.text
