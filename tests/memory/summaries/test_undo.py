"""A fold is undone for one episode or as a whole, and leaves nothing of an episode that is deleted or changed."""

from pathlib import Path
from uuid import UUID

import httpx
import pytest_asyncio
from sqlalchemy import text

from app.core.resources import Resources
from app.core.text.forget_requests import Extent, ForgetRequest
from app.memory.copy_profile import copy_memories
from app.memory.edit import Owner, change_memory
from app.memory.extraction.known import KnownMemories
from app.memory.find_meant import find_meant
from app.memory.forget import forget
from app.memory.judgement.neighbours import load_statements
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.summaries import FoldOutcome, fold_episodes
from app.memory.summaries.sources import join_summaries
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import export_to_file
from app.portability.imports.run import import_file
from app.profiles.repository import ProfileRepository
from tests.memory.namespaces import (
    add_memories,
    contents,
    execute_sql,
    load_history,
    load_memory,
    search,
    wait_until_indexed,
)
from tests.memory.summaries.episodes import GOOD, SUMMARY, TRIP, add_episodes
from tests.memory.summaries.test_fold import load_summaries, successors
from tests.model_server import ModelServer


class Folded:
    """A profile whose five episodes were folded."""

    def __init__(self, resources: Resources, namespace: Namespace, ids: list[UUID], summary_id: UUID) -> None:
        self.resources, self.namespace, self.ids, self.summary_id = resources, namespace, ids, summary_id

    async def successors(self) -> list[UUID | None]:
        return await successors(self.resources, self.namespace, self.ids)

    async def has_summary(self) -> bool:
        return await load_memory(self.resources, self.namespace, self.summary_id) is not None


@pytest_asyncio.fixture
async def folded(folding_resources: Resources, namespace: Namespace, model_server: ModelServer) -> Folded:
    ids = await add_episodes(folding_resources, namespace, origin=Origin(run_id="trip"))
    model_server.summaries(GOOD)
    report = await fold_episodes(folding_resources, namespace.project_id, most=1)
    assert report.outcomes == {FoldOutcome.FOLDED: 1}
    [summary] = await load_summaries(folding_resources, namespace)
    return Folded(folding_resources, namespace, ids, summary.id)


async def test_summary_is_shown_with_its_episodes(folded: Folded, client: httpx.AsyncClient) -> None:
    body = {"filters": {"user_id": "ann"}}
    [listed] = (await client.post("/v3/memories/", json=body)).json()["results"]
    assert (listed["id"], listed["kind"], listed["synthesized"]) == (str(folded.summary_id), "summary", True)
    every = (await client.post("/v3/memories/", json={**body, "show_superseded": True})).json()["results"]
    assert {each["replaced_by"] for each in every if each["kind"] == "episode"} == {str(folded.summary_id)}
    only = (
        await client.post("/v3/memories/", json={"filters": {"AND": [{"user_id": "ann"}, {"kind": "summary"}]}})
    ).json()
    assert [each["id"] for each in only["results"]] == [str(folded.summary_id)]
    found = await client.post("/v3/memories/search/", json={"query": "Who lent me 40 euros?", **body})
    assert [each["synthesized"] for each in found.json()["results"]] == [True]


async def test_one_episode_comes_back_and_stays(
    folded: Folded, client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    restored = await client.post(f"/v1/memories/{folded.ids[1]}/restore")
    assert restored.json()["lifecycle_state"] == "active"
    assert await folded.successors() == [folded.summary_id, None, *[folded.summary_id] * 3]
    assert await folded.has_summary()
    model_server.summaries(GOOD)
    assert (await fold_episodes(folded.resources, folded.namespace.project_id, most=1)).outcomes == {}


async def test_summary_is_undone_as_a_whole(
    folded: Folded, client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    undone = await client.delete(f"/v1/memories/{folded.summary_id}/", params={"restore_linked": True})
    assert undone.status_code == 200
    assert await folded.successors() == [None] * 5
    assert not await folded.has_summary()
    model_server.summaries(GOOD)
    assert (await fold_episodes(folded.resources, folded.namespace.project_id, most=1)).outcomes == {}, "for good"


async def test_deleted_summary_leaves_its_episodes_superseded_or_takes_them_along(
    folded: Folded, client: httpx.AsyncClient
) -> None:
    await client.delete(f"/v1/memories/{folded.summary_id}/")
    assert await folded.successors() == [folded.summary_id] * 5
    assert (await client.post(f"/v1/memories/{folded.ids[0]}/restore")).status_code == 200


async def test_summary_and_its_episodes_are_deleted_together(folded: Folded, client: httpx.AsyncClient) -> None:
    deleted = await client.delete(f"/v1/memories/{folded.summary_id}/", params={"delete_linked": True})
    assert deleted.json()["cascade_count"] == 5
    assert await folded.successors() == []


async def test_deleted_episode_takes_the_summary_along_and_the_others_come_back(folded: Folded) -> None:
    await execute_sql(folded.resources, folded.namespace, HOOK_SQL, project_id=folded.namespace.project_id)
    (older,) = await add_memories(folded.resources, folded.namespace, "I have never been to Porto")
    link = "update memories set replaced_by = :new, valid_until = now() where id = :id"
    await execute_sql(folded.resources, folded.namespace, link, id=older, new=folded.ids[0])
    await forget(folded.resources, folded.namespace, [folded.ids[0]])
    assert await folded.successors() == [None] * 4
    assert not await folded.has_summary()
    memory = await load_memory(folded.resources, folded.namespace, older)
    assert memory is not None
    assert memory.replaced_by == folded.ids[0], "what the deleted episode had replaced stays superseded"
    history = await load_history(folded.resources, folded.namespace, folded.summary_id)
    assert [(each.event, each.new_memory) for each in history] == [("ADD", None), ("REPLACE", None), ("DELETE", None)]
    assert [each.event for each in await load_history(folded.resources, folded.namespace, folded.ids[1])] == [
        *("ADD", "SUPERSEDE", "RESTORE")
    ]
    async with folded.resources.database.transaction(folded.namespace.project_id) as tx:
        told = await tx.execute(text(TOLD_SQL), {"project_id": folded.namespace.project_id})
        assert {tuple(row) for row in told} == {("memory_restore", 4), ("memory_delete", 2)}
    await wait_until_indexed(folded.resources, folded.namespace)
    found = contents(await search(folded.resources, folded.namespace, "What about Ines and Porto?"))
    assert TRIP[1] in found
    assert not {SUMMARY, TRIP[0]} & set(found)


HOOK_SQL = """
insert into webhooks (project_id, name, url, event_types)
values (:project_id, 'all', 'http://127.0.0.1:9/', '{memory_restore,memory_delete}')
"""
TOLD_SQL = """
select event_type, count(*) as count from webhook_deliveries where project_id = :project_id group by event_type
"""


async def test_restored_episode_takes_the_summary_along_when_it_is_deleted(
    folded: Folded, client: httpx.AsyncClient
) -> None:
    await client.post(f"/v1/memories/{folded.ids[1]}/restore")
    await forget(folded.resources, folded.namespace, [folded.ids[1]])
    assert await folded.successors() == [None] * 4
    assert not await folded.has_summary()


async def test_changed_episode_takes_the_summary_along(folded: Folded) -> None:
    owner = Owner(folded.namespace.project_id)
    await change_memory(folded.resources, owner, folded.ids[0], {"metadata": {"seen": True}})
    assert await folded.has_summary()
    await change_memory(folded.resources, owner, folded.ids[0], {"content": "I met a friend"})
    assert await folded.successors() == [None] * 5
    assert not await folded.has_summary()


async def test_archived_summary_brings_nothing_back_when_an_episode_is_deleted(
    folded: Folded, client: httpx.AsyncClient
) -> None:
    await client.post(f"/v1/memories/{folded.summary_id}/archive")
    await forget(folded.resources, folded.namespace, [folded.ids[0]])
    assert await folded.successors() == [folded.summary_id] * 4
    assert not await folded.has_summary()


async def test_summary_moves_with_its_episodes_and_an_episode_alone_leaves_none_behind(
    folded: Folded, client: httpx.AsyncClient
) -> None:
    other = (await client.post("/v1/profiles", json={"user_id": "ann", "name": "Other"})).json()["id"]
    await client.post(f"/v1/memories/{folded.summary_id}/move", json={"profile_id": other})
    assert await folded.successors() == [folded.summary_id] * 5
    await client.post(f"/v1/memories/{folded.ids[2]}/restore")
    back = str(folded.namespace.profile_id)
    moved = await client.post(f"/v1/memories/{folded.ids[2]}/move", json={"profile_id": back})
    assert moved.status_code == 200
    assert not await folded.has_summary()


async def test_copied_profile_has_the_episodes_instead_of_the_summary(folded: Folded) -> None:
    async with folded.resources.database.transaction(folded.namespace.project_id) as tx:
        repository = ProfileRepository(tx, folded.namespace.project_id)
        copy = await repository.add(user_id="ann", name="Copy", is_default=False)
        copy_id = copy.id
    assert await copy_memories(folded.resources, folded.namespace, copy_id) == (5, 0)
    target = Namespace(folded.namespace.project_id, "ann", copy_id)
    await wait_until_indexed(folded.resources, target)
    assert set(contents(await search(folded.resources, target, "Who lent me 40 euros in Porto?"))) <= set(TRIP)


async def test_request_to_forget_offers_the_summary_with_its_episode(folded: Folded) -> None:
    wish = ForgetRequest("Ines lent me 40 euros", Extent.STATEMENT)
    groups = (await find_meant(folded.resources, folded.namespace, wish)).groups
    group = next(group for group in groups if folded.ids[1] in {row.id for row in group})
    assert folded.summary_id in {row.id for row in group}
    assert sum(row.id == folded.summary_id for group in groups for row in group) == 1
    await forget(folded.resources, folded.namespace, [row.id for row in group])
    assert not await folded.has_summary()
    assert None in await folded.successors(), "what was not meant is current again"


async def test_request_to_forget_that_means_the_summary_alone_offers_all_its_episodes(folded: Folded) -> None:
    summary, first, second = [
        await load_memory(folded.resources, folded.namespace, each)
        for each in (folded.summary_id, folded.ids[0], folded.ids[1])
    ]
    assert summary
    assert first
    assert second
    async with folded.resources.database.transaction(folded.namespace.project_id) as tx:
        [alone] = await join_summaries(tx, folded.namespace, [[summary]])
        joined = await join_summaries(tx, folded.namespace, [[second], [summary, first]])
    assert [row.id for row in alone] == [folded.summary_id, *folded.ids]
    assert [[row.id for row in group] for group in joined] == [[second.id, summary.id], [first.id]]


async def test_summary_replaces_no_statement_and_is_no_known_fact(folded: Folded) -> None:
    known = await load_statements(folded.resources.database, folded.namespace.project_id, [folded.summary_id])
    assert known == {}
    await wait_until_indexed(folded.resources, folded.namespace)
    [near] = await KnownMemories(folded.resources, folded.namespace).search([SUMMARY], 5)
    assert near == []


async def test_erased_episode_takes_the_summary_along(folded: Folded, client: httpx.AsyncClient) -> None:
    await wait_until_indexed(folded.resources, folded.namespace)
    response = await client.post("/v1/erase", json={"memory_id": str(folded.ids[0])})
    receipt = response.json()["receipt"]
    assert receipt["found"]["memories"] == receipt["removed"]["memories"] == 2
    assert receipt["found"]["vectors"] == 2
    assert not any(receipt["left"].values())
    assert await folded.successors() == [None] * 4
    assert await load_history(folded.resources, folded.namespace, folded.summary_id) == []
    whole = (await client.post("/v1/erase", json={"user_id": "ann"})).json()["receipt"]
    assert whole["found"]["memories"] == whole["removed"]["memories"] == 4


async def test_export_and_import_keep_the_links(
    folded: Folded, client: httpx.AsyncClient, project_id: UUID, tmp_path: Path
) -> None:
    resources, file = folded.resources, tmp_path / "export.jsonl"
    await export_to_file(resources.database, DataScope(project_id), file, lambda *_: None)
    await client.post("/v1/erase", json={"user_id": "ann"})
    assert await folded.successors() == []
    await import_file(resources.database, DataScope(project_id), file, lambda *_: None, default_user=None)
    assert await folded.successors() == [folded.summary_id] * 5
    [summary] = await load_summaries(resources, folded.namespace)
    assert (summary.content, summary.kind) == (SUMMARY, "summary")
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(text("delete from memories where id = :id"), {"id": folded.ids[0]})
    assert await folded.successors() == [None] * 4
    assert not await folded.has_summary()
