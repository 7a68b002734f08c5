"""Sessions: conversations under a profile with a privacy mode, their messages in pages, and their summaries."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import SignUp

Json = dict[str, Any]


async def create(client: httpx.AsyncClient, **body: object) -> Json:
    answer = await client.post("/v1/sessions", json={"user_id": "ann", **body})
    assert answer.status_code == 201, answer.text
    session: Json = answer.json()
    return session


async def send(client: httpx.AsyncClient, session: Json, content: str) -> Json:
    answer = await client.post(f"/v1/sessions/{session['id']}/messages", json={"content": content})
    assert answer.status_code == 200, answer.text
    sent: Json = answer.json()
    return sent


async def get(client: httpx.AsyncClient, session: Json, what: str = "") -> Json:
    answer = await client.get(f"/v1/sessions/{session['id']}{what}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_session_belongs_to_the_default_or_the_named_profile(client: httpx.AsyncClient) -> None:
    session = await create(client)
    [default] = (await client.get("/v1/profiles", params={"user_id": "ann"})).json()["results"]
    assert (session["profile_id"], session["privacy_mode"], session["title"]) == (default["id"], "normal", None)
    work = (await client.post("/v1/profiles", json={"name": "Work", "user_id": "ann"})).json()
    session = await create(client, profile_id=work["id"], privacy_mode="incognito", title="Plans")
    assert (session["profile_id"], session["privacy_mode"], session["title"]) == (work["id"], "incognito", "Plans")
    listed = await client.get("/v1/sessions", params={"user_id": "ann", "profile_id": work["id"]})
    assert [each["id"] for each in listed.json()["results"]] == [session["id"]]


async def test_session_cannot_use_the_profile_of_another_user(client: httpx.AsyncClient) -> None:
    theirs = (await client.post("/v1/profiles", json={"name": "Theirs", "user_id": "bob"})).json()
    answer = await client.post("/v1/sessions", json={"user_id": "ann", "profile_id": theirs["id"]})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Plan my holiday", "Plan my holiday"),
        ("\n\n  First line \nsecond line", "First line"),
        ("word " * 40, "word " * 14 + "word…"),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
async def test_title_is_taken_from_the_first_message(content: str, title: str, client: httpx.AsyncClient) -> None:
    session = await create(client)
    await send(client, session, content)
    await send(client, session, "Something else")
    assert (await get(client, session))["title"] == title


async def test_given_title_stays(client: httpx.AsyncClient) -> None:
    session = await create(client, title="Mine")
    await send(client, session, "Hello")
    assert (await get(client, session))["title"] == "Mine"
    changed = await client.patch(f"/v1/sessions/{session['id']}", json={"title": "Other"})
    assert changed.json()["title"] == "Other"


async def test_incognito_sets_no_title(client: httpx.AsyncClient) -> None:
    session = await create(client, privacy_mode="incognito")
    await send(client, session, "My secret")
    found = await get(client, session)
    assert (found["title"], found["last_message_at"]) == (None, None)


async def test_unknown_privacy_mode_is_refused(client: httpx.AsyncClient) -> None:
    session = await create(client)
    for answer in (
        await client.post("/v1/sessions", json={"user_id": "ann", "privacy_mode": "off"}),
        await client.patch(f"/v1/sessions/{session['id']}", json={"privacy_mode": "off"}),
    ):
        assert answer.status_code == 422


async def test_messages_are_listed_in_pages_newest_first(client: httpx.AsyncClient) -> None:
    session = await create(client)
    for number in range(3):
        await send(client, session, f"Message {number}")
    seen, cursor = [], ""
    while True:
        page = await get(client, session, f"/messages?limit=2{cursor}")
        assert len(page["results"]) <= 2
        seen += page["results"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [each["content"] for each in seen if each["role"] == "user"] == ["Message 2", "Message 1", "Message 0"]
    assert [each["role"] for each in seen] == ["assistant", "user"] * 3


async def test_summary_counts_messages(client: httpx.AsyncClient) -> None:
    session = await create(client)
    await send(client, session, "Hello")
    summary = await get(client, session, "/summary")
    assert (summary["messages"], summary["messages_by_role"]) == (2, {"user": 1, "assistant": 1})
    assert summary["short_term_messages"] == 2
    assert summary["first_message_at"] < summary["last_message_at"]


async def test_session_reset_deletes_messages_and_delete_removes_it(client: httpx.AsyncClient) -> None:
    session = await create(client)
    sent = await send(client, session, "I work at Quokka")
    assert (await client.post(f"/v1/sessions/{session['id']}/reset")).json() == {"deleted_messages": 2}
    summary = await get(client, session, "/summary")
    assert (summary["messages"], summary["title"], summary["short_term_messages"]) == (0, None, 0)
    assert (await client.get(f"/v1/event/{sent['event_id']}/")).status_code == 404, (
        "the pending extraction is cancelled"
    )
    assert (await client.delete(f"/v1/sessions/{session['id']}")).status_code == 200
    assert (await client.get(f"/v1/sessions/{session['id']}")).status_code == 404


async def test_session_of_another_account_is_not_found(sign_up: SignUp) -> None:
    ann, bob = await sign_up(), await sign_up()
    session = (await ann.client.post("/v1/sessions", json={})).json()
    path = f"/v1/sessions/{session['id']}"
    for method, where, body in (
        ("GET", path, None),
        ("PATCH", path, {"title": "x"}),
        ("DELETE", path, None),
        ("GET", f"{path}/messages", None),
        ("GET", f"{path}/summary", None),
        ("POST", f"{path}/reset", None),
        ("POST", f"{path}/messages", {"content": "Hi"}),
    ):
        assert (await bob.client.request(method, where, json=body)).status_code == 404


async def test_fifty_concurrent_writers_leave_a_consistent_session(client: httpx.AsyncClient) -> None:
    session = await create(client)
    path = f"/v1/sessions/{session['id']}"
    modes = ("normal", "pause_memories", "incognito")

    async def write(number: int) -> int:
        if number % 5 == 0:
            return (await client.post(f"{path}/reset")).status_code
        if number % 2:
            return (await client.patch(path, json={"privacy_mode": modes[number % 3]})).status_code
        return (await client.post(f"{path}/messages", json={"content": f"Message {number}"})).status_code

    statuses = await asyncio.gather(*(write(number) for number in range(50)))
    assert set(statuses) <= {200, 409}
    await send(client, session, "Last")
    roles = [each["role"] for each in (await get(client, session, "/messages?limit=200"))["results"]]
    assert roles == ["assistant", "user"] * (len(roles) // 2)
