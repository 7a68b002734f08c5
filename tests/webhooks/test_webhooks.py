"""Webhooks against a real receiver on loopback that takes, fails, hangs, redirects, and comes back."""

import hashlib
import hmac
from typing import Any

import pytest
from sqlalchemy import text

from app.core.database.database import Database
from tests.conftest import SignUp
from tests.webhooks.conftest import House, until, until_async
from tests.webhooks.receiver import BABBLES, HANGS, REDIRECTS, Receiver, open_receiver


async def test_a_receiver_is_told_what_was_added_changed_and_deleted(house: House, receiver: Receiver) -> None:
    await house.hook(receiver.url, "memory_add", "memory_update", "memory_delete")
    async with house.jobs():
        [memory] = await house.remember("I like tea")
        await until(lambda: len(receiver.taken) >= 1)
        await house.client.put(f"/v1/memories/{memory}/", json={"text": "I like coffee"})
        await until(lambda: len(receiver.taken) >= 2)
        await house.client.delete(f"/v1/memories/{memory}/")
        await until(lambda: len(receiver.taken) >= 3)
    told = [each["event_details"] for each in receiver.taken]
    assert told == [
        {"id": memory, "data": {"memory": "I like tea"}, "event": "ADD", "user_id": "anna"},
        {"id": memory, "data": {"memory": "I like coffee"}, "event": "UPDATE", "user_id": "anna"},
        {"id": memory, "data": {"memory": None}, "event": "DELETE", "user_id": "anna"},
    ]


async def test_only_what_was_asked_for_is_told(house: House, receiver: Receiver) -> None:
    hook = await house.hook(receiver.url, "memory_delete")
    [memory] = await house.remember("I like tea")
    await house.client.delete(f"/v1/memories/{memory}/")
    assert [each["event_type"] for each in await house.deliveries(hook)] == ["memory_delete"]


async def test_another_projects_memories_are_not_told(house: House, receiver: Receiver, sign_up: SignUp) -> None:
    hook = await house.hook(receiver.url)
    other = await sign_up()
    said = {"messages": "I like milk", "user_id": "anna", "infer": False}
    assert (await other.client.post("/v3/memories/add/", json=said)).status_code == 200
    [memory] = await house.remember("I like tea")
    assert {each["memory_id"] for each in await house.deliveries(hook)} == {memory}


async def test_a_signature_proves_who_sent_it(house: House, receiver: Receiver) -> None:
    hook = await house.hook(receiver.url, "memory_add")
    async with house.jobs():
        await house.remember("I like tea")
        await until(lambda: len(receiver.taken) >= 1)
    headers = receiver.headers[0]
    signed = headers["x-keepsake-timestamp"].encode() + b"." + receiver.bodies[0]
    expected = hmac.new(hook["secret"].encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-keepsake-signature"] == f"v1={expected}"
    assert headers["x-keepsake-delivery"] == receiver.taken[0]["delivery_id"]


async def test_after_a_rotation_both_secrets_sign(house: House, receiver: Receiver) -> None:
    hook = await house.hook(receiver.url, "memory_add")
    fresh = (await house.client.post(f"/api/v1/webhooks/{hook['webhook_id']}/secret/")).json()
    assert fresh["secret"] != hook["secret"]
    async with house.jobs():
        await house.remember("I like tea")
        await until(lambda: len(receiver.taken) >= 1)
    signed = receiver.headers[0]["x-keepsake-timestamp"].encode() + b"." + receiver.bodies[0]
    each = [
        hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in (fresh["secret"], hook["secret"])
    ]
    assert receiver.headers[0]["x-keepsake-signature"] == ",".join(f"v1={digest}" for digest in each)


async def test_the_secret_is_shown_once_and_kept_nowhere(house: House, receiver: Receiver, database: Database) -> None:
    hook = await house.hook(receiver.url)
    [listed] = (await house.client.get(f"/api/v1/webhooks/projects/{house.project_id}/")).json()
    assert "secret" not in listed
    async with database.transaction(house.place) as tx:
        row = (await tx.execute(text("select row_to_json(w)::text as all from webhooks w"))).scalar_one()
    assert hook["secret"] not in row


async def test_a_failure_is_tried_again_until_it_is_taken(house: House, receiver: Receiver) -> None:
    receiver.next.extend([500, 503])
    hook = await house.hook(receiver.url, "memory_add")
    async with house.jobs():
        await house.remember("I like tea")
        await until(lambda: len(receiver.taken) >= 1)
        await until_async(lambda: delivered(house, hook))
    [delivery] = await house.deliveries(hook)
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("DELIVERED", 3, 200)


async def delivered(house: House, hook: dict[str, Any]) -> bool:
    return all(each["status"] == "DELIVERED" for each in await house.deliveries(hook))


@pytest.mark.parametrize(
    ("behaviour", "reason"), [(HANGS, "in time"), (REDIRECTS, "redirect"), (404, "error"), (500, "error")]
)
async def test_what_went_wrong_stands_in_the_log(
    behaviour: int | str, reason: str, house: House, receiver: Receiver
) -> None:
    receiver.usual = behaviour
    hook = await house.hook(receiver.url, "memory_add")
    async with house.jobs():
        await house.remember("I like tea")
        await until_async(lambda: noted(house, hook))
    [delivery] = await house.deliveries(hook)
    assert reason in delivery["error"]
    assert delivery["next_attempt_at"] is not None
    assert receiver.taken == []


async def noted(house: House, hook: dict[str, Any]) -> bool:
    return all(each["attempts"] > 0 for each in await house.deliveries(hook))


async def test_an_answer_without_end_is_not_read(house: House, receiver: Receiver) -> None:
    receiver.usual = BABBLES
    hook = await house.hook(receiver.url, "memory_add")
    async with house.jobs():
        await house.remember("I like tea")
        await until_async(lambda: delivered(house, hook))


async def test_a_receiver_that_hangs_does_not_hold_up_another(house: House, receiver: Receiver) -> None:
    async with open_receiver() as stuck:
        stuck.usual = HANGS
        await house.hook(stuck.url, "memory_add")
        await house.hook(receiver.url, "memory_add")
        async with house.jobs():
            await house.remember(*(f"I like tea number {number}" for number in range(40)))
            await until(lambda: len(receiver.taken) == 40)
        assert stuck.asked < 40


async def test_what_waits_survives_a_restart_of_ours_and_a_receiver_that_was_away(
    house: House, receiver: Receiver
) -> None:
    receiver.usual = 503
    hook = await house.hook(receiver.url, "memory_add")
    async with house.jobs():
        [memory] = await house.remember("I like tea")
        await until_async(lambda: noted(house, hook))
    receiver.usual = 200
    assert receiver.taken == []
    async with house.jobs():
        await until(lambda: len(receiver.taken) >= 1)
    assert receiver.taken[0]["event_details"]["id"] == memory


async def test_after_failing_for_days_it_is_paused_and_starts_again_when_told(
    house: House, receiver: Receiver, database: Database
) -> None:
    receiver.usual = 500
    hook = await house.hook(receiver.url, "memory_add")
    address = f"/api/v1/webhooks/{hook['webhook_id']}/"
    async with database.transaction(house.place) as tx:
        await tx.execute(text("update webhooks set failures = 1, failing_since = now() - interval '4 days'"))
    async with house.jobs():
        await house.remember("I like tea")
        await until_async(lambda: noted(house, hook))
        assert (await house.client.get(address)).json()["is_active"] is False
        await house.remember("I like milk")
        assert len(await house.deliveries(hook)) == 1, "nothing is written down for a webhook that is paused"
        receiver.usual = 200
        await house.client.put(address, json={"is_active": True})
        await until(lambda: len(receiver.taken) >= 1)
    assert (await house.client.get(address)).json()["failing_since"] is None


async def test_a_delivery_is_given_up_in_the_end_and_can_be_sent_once_more(
    house: House, receiver: Receiver, database: Database
) -> None:
    receiver.usual = 500
    hook = await house.hook(receiver.url, "memory_add")
    await house.remember("I like tea")
    async with database.transaction(house.place) as tx:
        await tx.execute(text("update webhook_deliveries set attempts = 9"))
    async with house.jobs():
        await until_async(lambda: given_up(house, hook))
        receiver.usual = 200
        [delivery] = await house.deliveries(hook)
        again = f"/api/v1/webhooks/{hook['webhook_id']}/deliveries/{delivery['id']}/redeliver/"
        assert (await house.client.post(again)).json()["status"] == "PENDING"
        await until(lambda: len(receiver.taken) >= 1)


async def given_up(house: House, hook: dict[str, Any]) -> bool:
    return all(each["status"] == "FAILED" for each in await house.deliveries(hook))


async def test_no_job_and_no_log_holds_what_was_said(house: House, receiver: Receiver, database: Database) -> None:
    await house.hook(receiver.url)
    await house.remember("My cat is called Zanzibarbarossa")
    async with database.system() as tx:
        jobs = list(await tx.scalars(text("select args::text from jobs.procrastinate_jobs")))
    async with database.transaction(house.place) as tx:
        log = list(await tx.scalars(text("select row_to_json(d)::text from webhook_deliveries d")))
    assert jobs
    assert log
    assert "Zanzibar" not in "".join([*jobs, *log])


async def test_a_project_with_webhooks_can_be_deleted(house: House, receiver: Receiver) -> None:
    await house.hook(receiver.url)
    await house.remember("I like tea")
    ping = (await house.client.get("/v1/ping/")).json()
    address = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{ping['project_id']}/"
    assert (await house.client.delete(address)).status_code == 200
    async with house.jobs():
        pass


async def test_somebody_elses_project_is_not_there(house: House, receiver: Receiver) -> None:
    wanted = {"url": receiver.url, "name": "Hook", "event_types": ["memory_add"]}
    other = await house.client.post("/api/v1/webhooks/projects/00000000-0000-4000-8000-000000000000/", json=wanted)
    assert other.status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://x"},
        {"url": "https://a:b@x.example"},
        {"event_types": []},
        {"event_types": ["moon"]},
        {"name": ""},
    ],
)
async def test_what_cannot_be_is_refused(wrong: dict[str, object], house: House) -> None:
    wanted = {"url": "https://x.example", "name": "Hook", "event_types": ["memory_add"], **wrong}
    refused = await house.client.post(f"/api/v1/webhooks/projects/{house.project_id}/", json=wanted)
    assert refused.status_code == 400


async def test_a_receiver_is_told_of_categories_once_they_are_given(house: House, receiver: Receiver) -> None:
    await house.hook(receiver.url, "memory_categorize")
    async with house.jobs():
        [memory] = await house.remember("I had soup in a small restaurant")
        await until(lambda: len(receiver.taken) >= 1)
    wanted = {"event": "CATEGORIZE", "memory_id": memory, "categories": ["food"], "user_id": "anna"}
    assert receiver.taken[0]["event_details"] == wanted
