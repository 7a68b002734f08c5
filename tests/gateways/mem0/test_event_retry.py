"""POST /v1/event/{id}/retry and the command `events retry`."""

import uuid

import httpx
import pytest
from sqlalchemy import text

from app.commands import retry_events
from app.core.errors import ConfigurationError
from app.core.resources import Resources
from app.memory.ledger.event_retention import delete_old_events
from app.settings import Settings
from tests.conftest import MakeKey
from tests.memory.namespaces import execute_sql_as_system, new_project

FAIL_EVENT_SQL = text(
    "update events set status = 'FAILED', error = 'The model was away.', completed_at = now() where id = :id"
)

WAIT_SQL = text("update events set unavailable_since = '2026-01-31T12:00:00Z' where id = :id")


async def add_inferred(client: httpx.AsyncClient) -> str:
    """No worker runs here, so the event stays pending."""
    reply = await client.post("/v3/memories/add/", json={"messages": "I like tea", "user_id": "ann"})
    return str(reply.json()["event_id"])


async def fail(resources: Resources, project_id: uuid.UUID, event_id: str) -> None:
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(FAIL_EVENT_SQL, {"id": event_id})


async def count_jobs(resources: Resources, event_id: str) -> int:
    sql = "select count(*) from jobs.procrastinate_jobs where status = 'todo' and args ->> 'event_id' = :id"
    return int((await execute_sql_as_system(resources, sql, id=event_id))[0][0])


async def test_failed_event_is_pending_again_with_its_messages_and_a_job(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    event_id = await add_inferred(client)
    await fail(resources, project_id, event_id)
    reply = await client.post(f"/v1/event/{event_id}/retry")
    assert reply.status_code == 200, reply.text
    event = reply.json()
    assert (event["id"], event["status"], event["error"], event["completed_at"]) == (event_id, "PENDING", None, None)
    assert event["payload"]["messages"] == [{"role": "user", "content": "I like tea"}]
    assert event == (await client.get(f"/v1/event/{event_id}/")).json()
    assert await count_jobs(resources, event_id) == 2, "the job of the add, which never ran here, and that of the retry"


async def test_event_says_since_when_it_waits_for_the_model(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    event_id = await add_inferred(client)
    path = f"/v1/event/{event_id}/"
    assert (await client.get(path)).json()["waiting_since"] is None
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(WAIT_SQL, {"id": event_id})
    assert (await client.get(path)).json()["waiting_since"] == "2026-01-31T12:00:00Z"
    await fail(resources, project_id, event_id)
    assert (await client.get(path)).json()["waiting_since"] is None, "it does not wait any more"


async def test_event_that_has_not_failed_is_409(client: httpx.AsyncClient) -> None:
    reply = await client.post(f"/v1/event/{await add_inferred(client)}/retry")
    assert reply.status_code == 409
    assert reply.json()["detail"] == "Only a failed event can be retried. The status of this one is PENDING."


async def test_event_of_another_project_and_an_unknown_one_are_404(
    client: httpx.AsyncClient, make_key: MakeKey, resources: Resources, project_id: uuid.UUID
) -> None:
    event_id = await add_inferred(client)
    await fail(resources, project_id, event_id)
    stranger = await make_key(project=await new_project(resources))
    assert (await stranger.client.post(f"/v1/event/{event_id}/retry")).status_code == 404
    assert (await client.post(f"/v1/event/{uuid.uuid4()}/retry")).status_code == 404
    assert (await client.get(f"/v1/event/{event_id}/")).json()["status"] == "FAILED"


async def test_key_that_may_only_read_cannot_retry(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    reader = await make_key("memories:read")
    assert (await reader.client.post(f"/v1/event/{await add_inferred(client)}/retry")).status_code == 403


async def test_retention_keeps_what_a_retry_needs_until_the_event_is_old(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    event_id = await add_inferred(client)
    await fail(resources, project_id, event_id)
    await delete_old_events(resources)
    assert (await client.post(f"/v1/event/{event_id}/retry")).status_code == 200


async def test_command_retries_one_event_or_all(
    client: httpx.AsyncClient,
    resources: Resources,
    project_id: uuid.UUID,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = await add_inferred(client), await add_inferred(client)
    for event_id in (first, second):
        await fail(resources, project_id, event_id)
    await retry_events(settings, uuid.UUID(first), every=False, project=None)
    assert [(await client.get(f"/v1/event/{each}/")).json()["status"] for each in (first, second)] == [
        "PENDING",
        "FAILED",
    ]
    await retry_events(settings, None, every=True, project=project_id)
    await retry_events(settings, None, every=True, project=project_id)
    printed = [line for line in capsys.readouterr().out.splitlines() if "[info" not in line]
    assert printed == ["Retrying 1 event", "Retrying 1 event", "No event has failed"]
    assert (await client.get(f"/v1/event/{second}/")).json()["status"] == "PENDING"


@pytest.mark.parametrize(
    ("event", "every", "message"),
    [(uuid.uuid4(), False, "No failed event"), (None, False, "--all"), (uuid.uuid4(), True, "--all")],
)
async def test_command_says_what_is_wrong(
    settings: Settings, event: uuid.UUID | None, every: bool, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await retry_events(settings, event, every=every, project=None)
