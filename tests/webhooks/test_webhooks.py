"""Webhooks with a real receiver on loopback that accepts, fails, hangs, redirects and recovers."""

import hashlib
import hmac
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app.core.database.database import Database
from tests.conftest import MakeKey, SignUp
from tests.webhooks.conftest import WebhookProject, until, until_async
from tests.webhooks.receiver import ENDLESS, HANGS, REDIRECTS, Receiver, open_receiver


async def test_webhook_receives_added_changed_and_deleted_memories(hooks: WebhookProject, receiver: Receiver) -> None:
    await hooks.hook(receiver.url, "memory_add", "memory_update", "memory_delete")
    async with hooks.jobs():
        [memory] = await hooks.remember("I like tea")
        await until(lambda: len(receiver.accepted) >= 1)
        await hooks.client.put(f"/v1/memories/{memory}/", json={"text": "I like coffee"})
        await until(lambda: len(receiver.accepted) >= 2)
        await hooks.client.delete(f"/v1/memories/{memory}/")
        await until(lambda: len(receiver.accepted) >= 3)
    details = [each["event_details"] for each in receiver.accepted]
    assert details == [
        {"id": memory, "data": {"memory": "I like tea"}, "event": "ADD", "user_id": "anna"},
        {"id": memory, "data": {"memory": "I like coffee"}, "event": "UPDATE", "user_id": "anna"},
        {"id": memory, "data": {"memory": None}, "event": "DELETE", "user_id": "anna"},
    ]


async def test_webhook_receives_only_its_event_types(hooks: WebhookProject, receiver: Receiver) -> None:
    hook = await hooks.hook(receiver.url, "memory_delete")
    [memory] = await hooks.remember("I like tea")
    await hooks.client.delete(f"/v1/memories/{memory}/")
    assert [each["event_type"] for each in await hooks.deliveries(hook)] == ["memory_delete"]


async def test_webhook_may_ask_for_events_of_mem0_that_never_happen_here(
    hooks: WebhookProject, receiver: Receiver
) -> None:
    hook = await hooks.hook(receiver.url, "memory_add", "ingest_job_completed", "ingest_job_failed")
    [memory] = await hooks.remember("I like tea")
    assert [each["memory_id"] for each in await hooks.deliveries(hook)] == [memory]


async def test_webhook_receives_only_memories_of_its_project(
    hooks: WebhookProject, receiver: Receiver, sign_up: SignUp
) -> None:
    hook = await hooks.hook(receiver.url)
    other = await sign_up()
    message = {"messages": "I like milk", "user_id": "anna", "infer": False}
    assert (await other.client.post("/v3/memories/add/", json=message)).status_code == 200
    [memory] = await hooks.remember("I like tea")
    assert {each["memory_id"] for each in await hooks.deliveries(hook)} == {memory}


async def test_delivery_is_signed_with_the_secret(hooks: WebhookProject, receiver: Receiver) -> None:
    hook = await hooks.hook(receiver.url, "memory_add")
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until(lambda: len(receiver.accepted) >= 1)
    headers = receiver.headers[0]
    signed = headers["x-keepsake-timestamp"].encode() + b"." + receiver.bodies[0]
    expected = hmac.new(hook["secret"].encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-keepsake-signature"] == f"v1={expected}"
    assert headers["x-keepsake-delivery"] == receiver.accepted[0]["delivery_id"]


async def test_delivery_is_signed_with_both_secrets_after_a_rotation(hooks: WebhookProject, receiver: Receiver) -> None:
    hook = await hooks.hook(receiver.url, "memory_add")
    fresh = (await hooks.client.post(f"/api/v1/webhooks/{hook['webhook_id']}/secret/")).json()
    assert fresh["secret"] != hook["secret"]
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until(lambda: len(receiver.accepted) >= 1)
    signed = receiver.headers[0]["x-keepsake-timestamp"].encode() + b"." + receiver.bodies[0]
    each = [
        hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in (fresh["secret"], hook["secret"])
    ]
    assert receiver.headers[0]["x-keepsake-signature"] == ",".join(f"v1={digest}" for digest in each)


async def test_webhook_secret_is_shown_once_and_not_stored(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    hook = await hooks.hook(receiver.url)
    [listed] = (await hooks.client.get(f"/api/v1/webhooks/projects/{hooks.project_id}/")).json()
    assert "secret" not in listed
    async with database.transaction(hooks.project_uuid) as tx:
        row = (await tx.execute(text("select row_to_json(w)::text as all from webhooks w"))).scalar_one()
    assert hook["secret"] not in row


async def test_failed_delivery_is_retried_until_it_succeeds(hooks: WebhookProject, receiver: Receiver) -> None:
    receiver.next.extend([500, 503])
    hook = await hooks.hook(receiver.url, "memory_add")
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until(lambda: len(receiver.accepted) >= 1)
        await until_async(lambda: delivered(hooks, hook))
    [delivery] = await hooks.deliveries(hook)
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("DELIVERED", 3, 200)


async def delivered(hooks: WebhookProject, hook: dict[str, Any]) -> bool:
    return all(each["status"] == "DELIVERED" for each in await hooks.deliveries(hook))


@pytest.mark.parametrize(
    ("behaviour", "reason", "hooks"),
    [(HANGS, "in time", 0.5), (REDIRECTS, "redirect", 60), (404, "error", 60), (500, "error", 60)],
    indirect=["hooks"],
)
async def test_delivery_log_contains_the_reason_of_a_failure(
    behaviour: int | str, reason: str, hooks: WebhookProject, receiver: Receiver
) -> None:
    receiver.usual = behaviour
    hook = await hooks.hook(receiver.url, "memory_add")
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until_async(lambda: attempted(hooks, hook))
    [delivery] = await hooks.deliveries(hook)
    assert reason in delivery["error"]
    assert delivery["next_attempt_at"] is not None
    assert receiver.accepted == []


async def attempted(hooks: WebhookProject, hook: dict[str, Any]) -> bool:
    return all(each["attempts"] > 0 for each in await hooks.deliveries(hook))


async def test_endless_response_is_not_read(hooks: WebhookProject, receiver: Receiver) -> None:
    receiver.usual = ENDLESS
    hook = await hooks.hook(receiver.url, "memory_add")
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until_async(lambda: delivered(hooks, hook))


@pytest.mark.parametrize("hooks", [0.5], indirect=True)
async def test_hanging_receiver_does_not_delay_others(hooks: WebhookProject, receiver: Receiver) -> None:
    async with open_receiver() as stuck:
        stuck.usual = HANGS
        await hooks.hook(stuck.url, "memory_add")
        await hooks.hook(receiver.url, "memory_add")
        async with hooks.jobs():
            await hooks.remember(*(f"I like tea number {number}" for number in range(40)))
            await until(lambda: len({each["delivery_id"] for each in receiver.accepted}) == 40)
        assert stuck.requests < 40


async def test_pending_deliveries_survive_restarts_and_receiver_outages(
    hooks: WebhookProject, receiver: Receiver
) -> None:
    receiver.usual = 503
    hook = await hooks.hook(receiver.url, "memory_add")
    async with hooks.jobs():
        [memory] = await hooks.remember("I like tea")
        await until_async(lambda: attempted(hooks, hook))
    receiver.usual = 200
    assert receiver.accepted == []
    async with hooks.jobs():
        await until(lambda: len(receiver.accepted) >= 1)
    assert receiver.accepted[0]["event_details"]["id"] == memory


async def test_webhook_is_paused_after_days_of_failures_and_can_be_resumed(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    receiver.usual = 500
    hook = await hooks.hook(receiver.url, "memory_add")
    address = f"/api/v1/webhooks/{hook['webhook_id']}/"
    async with database.transaction(hooks.project_uuid) as tx:
        await tx.execute(text("update webhooks set failures = 1, failing_since = now() - interval '4 days'"))
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until_async(lambda: attempted(hooks, hook))
        assert (await hooks.client.get(address)).json()["is_active"] is False
        await hooks.remember("I like milk")
        assert len(await hooks.deliveries(hook)) == 1, "a paused webhook gets no deliveries"
        receiver.usual = 200
        await hooks.client.put(address, json={"is_active": True})
        await until(lambda: len(receiver.accepted) >= 1)
    assert (await hooks.client.get(address)).json()["failing_since"] is None


async def test_delivery_fails_after_all_attempts_and_can_be_sent_again(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    receiver.usual = 500
    hook = await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea")
    async with database.transaction(hooks.project_uuid) as tx:
        await tx.execute(text("update webhook_deliveries set attempts = 9"))
    async with hooks.jobs():
        await until_async(lambda: failed(hooks, hook))
        receiver.usual = 200
        [delivery] = await hooks.deliveries(hook)
        again = f"/api/v1/webhooks/{hook['webhook_id']}/deliveries/{delivery['id']}/redeliver/"
        assert (await hooks.client.post(again)).json()["status"] == "PENDING"
        await until(lambda: len(receiver.accepted) >= 1)


async def failed(hooks: WebhookProject, hook: dict[str, Any]) -> bool:
    return all(each["status"] == "FAILED" for each in await hooks.deliveries(hook))


async def test_jobs_and_delivery_log_contain_no_content(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    await hooks.hook(receiver.url)
    await hooks.remember("My cat is called Zanzibarbarossa")
    async with database.system() as tx:
        jobs = list(await tx.scalars(text("select args::text from jobs.procrastinate_jobs")))
    async with database.transaction(hooks.project_uuid) as tx:
        log = list(await tx.scalars(text("select row_to_json(d)::text from webhook_deliveries d")))
    assert jobs
    assert log
    assert "Zanzibar" not in "".join([*jobs, *log])


async def test_project_with_webhooks_can_be_deleted(hooks: WebhookProject, receiver: Receiver) -> None:
    await hooks.hook(receiver.url)
    await hooks.remember("I like tea")
    ping = (await hooks.client.get("/v1/ping/")).json()
    address = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{ping['project_id']}/"
    assert (await hooks.client.delete(address)).status_code == 200
    async with hooks.jobs():
        pass


async def test_webhook_of_another_project_is_404(hooks: WebhookProject, receiver: Receiver) -> None:
    body = {"url": receiver.url, "name": "Hook", "event_types": ["memory_add"]}
    other = await hooks.client.post("/api/v1/webhooks/projects/00000000-0000-4000-8000-000000000000/", json=body)
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
async def test_invalid_webhook_is_refused(wrong: dict[str, object], hooks: WebhookProject) -> None:
    body = {"url": "https://x.example", "name": "Hook", "event_types": ["memory_add"], **wrong}
    refused = await hooks.client.post(f"/api/v1/webhooks/projects/{hooks.project_id}/", json=body)
    assert refused.status_code == 400


async def test_webhook_receives_categories(hooks: WebhookProject, receiver: Receiver) -> None:
    await hooks.hook(receiver.url, "memory_categorize")
    async with hooks.jobs():
        [memory] = await hooks.remember("I had soup in a small restaurant")
        await until(lambda: len(receiver.accepted) >= 1)
    body = {"event": "CATEGORIZE", "memory_id": memory, "categories": ["food"], "user_id": "anna"}
    assert receiver.accepted[0]["event_details"] == body


async def test_webhook_receives_one_event_for_a_retention_run(hooks: WebhookProject, receiver: Receiver) -> None:
    await hooks.hook(receiver.url, "retention_run")
    assert (await hooks.client.put("/v1/admin/retention", json={"rules": []})).status_code == 200
    async with hooks.jobs():
        run = (await hooks.client.post("/v1/admin/retention/run")).json()
        await until(lambda: len(receiver.accepted) >= 1)
    [event] = receiver.accepted
    details = {"event": "RETENTION_RUN", "id": run["id"], "cause": "request", "rules": {}}
    assert (event["event_type"], event["event_details"]) == ("retention_run", details)


async def test_key_that_may_not_read_memories_cannot_have_them_sent(
    hooks: WebhookProject, receiver: Receiver, make_key: MakeKey
) -> None:
    """What another caller has set up goes on, and can be renamed, paused and deleted."""
    key = await make_key("projects:read", "projects:write", project=hooks.project_uuid)
    send = partial(hooks.client.request, headers={"Authorization": f"Bearer {key.key}"})
    of_project = f"/api/v1/webhooks/projects/{hooks.project_id}/"
    wanted = {"name": "H", "url": receiver.url}
    refused = await send("POST", of_project, json={**wanted, "event_types": ["memory_delete", "retention_run"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "memories:read" in refused.json()["detail"]
    own = await send("POST", of_project, json={**wanted, "event_types": ["retention_run"]})
    assert own.status_code == 201, own.text
    existing = (await hooks.hook(receiver.url, "memory_add"))["webhook_id"]
    changes: list[tuple[str, dict[str, Any], int]] = [
        (own.json()["webhook_id"], {"event_types": ["memory_add"]}, 403),
        (own.json()["webhook_id"], {"url": f"{receiver.url}/other"}, 200),
        (existing, {"url": f"{receiver.url}/other"}, 403),
        (existing, {"name": "Renamed"}, 200),
        (existing, {"is_active": False}, 200),
        (existing, {"is_active": True}, 403),
    ]
    for webhook, change, status in changes:
        response = await send("PUT", f"/api/v1/webhooks/{webhook}/", json=change)
        assert response.status_code == status, (change, response.text)
    row = (await hooks.client.get(f"/api/v1/webhooks/{existing}/")).json()
    assert (row["url"], row["name"], row["is_active"]) == (receiver.url, "Renamed", False)
    assert (await send("DELETE", f"/api/v1/webhooks/{existing}/")).status_code == 200
