"""The retention policy: what it catches, what a run does with it, and who is kept out of it."""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from app.core.resources import Resources
from app.identity.scopes import DEFAULT_FOR_KEYS
from app.memory.archive import restore_memory
from app.memory.edit import Owner
from app.memory.ledger import Kind
from app.memory.namespace import Namespace
from app.memory.supersession import Replacement, supersede
from app.retention.jobs import run_once, schedule_runs
from app.retention.policy import RetentionPolicy
from app.retention.run import PolicyRun
from app.retention.runs import RetentionRunRepository
from app.worker import run_jobs
from tests.conftest import MakeKey
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    load_history,
    search,
    wait_until_indexed,
)
from tests.patience import PATIENCE_SECONDS
from tests.rows import insert_row

Rule = dict[str, Any]
OLD: Rule = {"name": "old", "older_than_days": 30}


@dataclass
class RetentionProject:
    """A project with memories of one user, and the means to age them."""

    resources: Resources
    client: httpx.AsyncClient
    namespace: Namespace

    async def add(
        self, *words: str, days: int = 0, in_namespace: Namespace | None = None, **columns: Any
    ) -> list[UUID]:
        """Memories that were created so many days ago."""
        place = in_namespace or self.namespace
        ids = await add_memories(self.resources, place, *words)
        await self.change(ids, created_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=days), **columns)
        return ids

    async def change(self, ids: Sequence[UUID], **columns: Any) -> None:
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        sql = f"update memories set {changes} where id = any(:ids)"
        await execute_sql(self.resources, self.namespace, sql, ids=list(ids), **columns)

    async def put(self, *rules: Rule) -> None:
        put = await self.client.put("/v1/admin/retention", json={"rules": rules})
        assert put.status_code == 200, put.text

    async def preview(self) -> list[Rule]:
        answer = await self.client.post("/v1/admin/retention/run", json={"dry_run": True})
        assert answer.status_code == 200, answer.text
        rules: list[Rule] = answer.json()["rules"]
        return rules

    async def start(self) -> UUID:
        started = await self.client.post("/v1/admin/retention/run")
        assert started.status_code == 202, started.text
        return UUID(started.json()["id"])

    async def read(self, run_id: UUID) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/v1/admin/retention/runs/{run_id}")).json()
        return found

    async def run(self) -> dict[str, Any]:
        """As the job of the run does."""
        run_id = await self.start()
        await run_once(self.resources, self.namespace.project_id, run_id)
        return await self.read(run_id)

    async def archived(self) -> set[str]:
        return set(await self._texts("archived_at is not null"))

    async def live(self) -> set[str]:
        return set(await self._texts("archived_at is null"))

    async def _texts(self, condition: str) -> list[str]:
        async with self.resources.database.transaction(self.namespace.project_id) as tx:
            return list(await tx.scalars(text(f"select content from memories where {condition}")))


@pytest_asyncio.fixture
async def aged(resources: Resources, make_key: MakeKey, project_id: uuid.UUID) -> RetentionProject:
    """With the scopes that keys have by default."""
    holder = await make_key(*sorted(DEFAULT_FOR_KEYS))
    return RetentionProject(resources, holder.client, await create_namespace(resources, project_id))


# ---------------------------------------------------------------- the policy


async def test_project_without_a_policy_loses_nothing(aged: RetentionProject) -> None:
    await aged.add("Old news", days=5000)
    assert (await aged.client.get("/v1/admin/retention")).json() == {"rules": [], "updated_at": None}
    assert await aged.preview() == []
    run = await aged.run()
    assert (run["state"], run["archived"], run["rules"]) == ("finished", 0, [])
    assert await aged.live() == {"Old news"}
    await schedule_runs(aged.resources)
    assert len((await aged.client.get("/v1/admin/retention/runs")).json()["results"]) == 1


async def test_policy_is_stored_and_replaced(aged: RetentionProject) -> None:
    await aged.put(OLD, {"name": "cap", "max_memories": 5, "per": "user", "delete_after_days": 7})
    stored = (await aged.client.get("/v1/admin/retention")).json()
    assert [rule["name"] for rule in stored["rules"]] == ["old", "cap"]
    assert (stored["rules"][1]["per"], stored["rules"][0]["per"], stored["updated_at"] is None) == (
        "user",
        "project",
        False,
    )
    await aged.put()
    assert (await aged.client.get("/v1/admin/retention")).json()["rules"] == []


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"name": "all"}], "would archive every memory at once"),
        ([{"name": "all", "kinds": ["episode"]}], "would archive every memory at once"),
        ([{**OLD, "max_memories": 5}], "Write one rule for max_memories and one for the others"),
        ([{**OLD, "per": "user"}], "`per` without max_memories"),
        ([OLD, OLD], "several rules with the name 'old'"),
        ([{**OLD, "older_than_days": 0}], "older_than_days"),
        ([{**OLD, "delete_after_days": 0}], "delete_after_days"),
        ([{**OLD, "importance_below": 2}], "importance_below"),
        ([{**OLD, "kinds": ["rumour"]}], "kinds"),
        ([{**OLD, "olderthan": 3}], "Did you mean"),
        ([{**OLD, "name": f"{number}"} for number in range(21)], "rules"),
        (None, "rules"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_policy_that_cannot_be_meant_is_refused(aged: RetentionProject, rules: Any, message: str) -> None:
    refused = await aged.client.put("/v1/admin/retention", json={} if rules is None else {"rules": rules})
    assert refused.status_code == 422
    assert message in refused.json()["detail"]


# ---------------------------------------------------------------- the rules


RULES: dict[str, tuple[Rule, set[str]]] = {
    "age": ({"older_than_days": 50}, {"old fact", "old episode", "old answer", "old but used", "old and minor"}),
    "kind": ({"older_than_days": 50, "kinds": ["episode"]}, {"old episode", "old answer"}),
    "role": ({"older_than_days": 50, "roles": ["assistant"]}, {"old answer"}),
    "last use": ({"unused_for_days": 50}, {"old fact", "old episode", "old answer", "old and minor"}),
    "importance": ({"importance_below": 0.3}, {"new and minor", "old and minor"}),
    "all together": ({"importance_below": 0.3, "older_than_days": 50, "kinds": ["fact"]}, {"old and minor"}),
    "cap": (
        {"max_memories": 3, "kinds": ["fact"]},
        {"old and minor", "new and minor", "old fact"},
    ),
}


@pytest.mark.parametrize("name", RULES)
async def test_rule_archives_what_meets_all_its_conditions(aged: RetentionProject, name: str) -> None:
    rule, expected = RULES[name]
    await aged.add("old fact", days=100)
    await aged.add("new fact")
    await aged.add("old episode", days=100, kind=Kind.EPISODE)
    await aged.add("old answer", days=100, kind=Kind.EPISODE, role="assistant")
    await aged.add("old but used", days=100, accessed_at=[dt.datetime.now(dt.UTC)])
    await aged.add("old and minor", days=100, importance=0.1)
    await aged.add("new and minor", importance=0.2)
    await aged.add("major", importance=0.9)
    await aged.put({"name": name, **rule})
    (preview,) = await aged.preview()
    assert (preview["archive"], preview["held"]) == (len(expected), 0)
    assert len(preview["samples"]) == min(5, len(expected))
    assert {sample["memory"] for sample in preview["samples"]} <= expected
    assert await aged.archived() == set(), "a dry run changes nothing"
    run = await aged.run()
    assert (run["archived"], run["deleted"], run["state"]) == (len(expected), 0, "finished")
    assert await aged.archived() == expected
    assert (await aged.run())["archived"] == 0


async def test_rule_about_messages_leaves_memories_alone(aged: RetentionProject) -> None:
    await aged.add("old fact", days=100)
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=100)
    row = {"project_id": aged.namespace.project_id, "namespace": "n", "kind": "message", "content": "old message"}
    row |= {"hash": b"x", "conversation_id": "c", "created_at": long_ago, "categories": []}
    async with aged.resources.database.transaction(aged.namespace.project_id) as tx:
        await insert_row(tx, "memories", row)
    await aged.put({**OLD, "kinds": ["message"]})
    assert (await aged.run())["archived"] == 1
    assert (await aged.archived(), await aged.live()) == ({"old message"}, {"old fact"})


async def test_cap_per_user_counts_each_user(aged: RetentionProject) -> None:
    bert = await create_namespace(aged.resources, aged.namespace.project_id, "bert")
    for number in range(3):
        await aged.add(f"ann {number}", days=number)
    await aged.add("bert 0", in_namespace=bert)
    await aged.put({"name": "cap", "max_memories": 2, "per": "user"})
    assert [rule["archive"] for rule in await aged.preview()] == [1]
    assert (await aged.run())["archived"] == 1
    assert await aged.archived() == {"ann 2"}


async def test_memory_that_meets_two_rules_counts_once(aged: RetentionProject) -> None:
    await aged.add("one", "two", days=100)
    await aged.add("three")
    await aged.put(OLD, {"name": "older", "older_than_days": 20}, {"name": "cap", "max_memories": 1})
    assert [rule["archive"] for rule in await aged.preview()] == [2, 0, 0]
    run = await aged.run()
    assert [rule["archived"] for rule in run["rules"]] == [2, 0, 0]
    assert run["archived"] == 2


async def test_archived_by_a_rule_leaves_search_and_is_deleted_after_its_time(aged: RetentionProject) -> None:
    (due,) = await aged.add("I fly gliders", days=100)
    (kept,) = await aged.add("I keep bees", days=100)
    await aged.put({**OLD, "delete_after_days": 7})
    assert (await aged.run())["archived"] == 2
    await wait_until_indexed(aged.resources, aged.namespace)
    assert contents(await search(aged.resources, aged.namespace, "gliders or bees")) == []
    history = (await aged.client.get(f"/v1/memories/{due}/history/")).json()
    assert (history[-1]["event"], history[-1]["metadata"]) == ("ARCHIVE", {"rule": "old"})

    await restore_memory(aged.resources, Owner(aged.namespace.project_id), kept)
    assert (await aged.run())["archived"] == 0, "what was restored is left alone for a while"
    await age_archive(aged, due, days=8)
    (preview,) = await aged.preview()
    assert (preview["archive"], preview["delete"]) == (0, 1)
    run = await aged.run()
    assert (run["archived"], run["deleted"]) == (0, 1)
    assert (await aged.client.get(f"/v1/memories/{due}/")).status_code == 404
    assert [each.new_memory for each in await load_history(aged.resources, aged.namespace, due)] == [None] * 3
    assert await aged.live() == {"I keep bees"}


async def test_rule_that_deletes_a_superseded_memory_links_its_neighbours(aged: RetentionProject) -> None:
    (middle,) = await aged.add("I visited Birch", days=100)
    first, last = await aged.add("I visited Alder", "I visited Cedar")
    project_id = aged.namespace.project_id
    async with aged.resources.database.transaction(project_id) as tx:
        await supersede(tx, project_id, [Replacement(first, middle), Replacement(middle, last)])
    await aged.put({**OLD, "delete_after_days": 7})
    assert (await aged.run())["archived"] == 1
    await age_archive(aged, middle, days=8)
    assert (await aged.run())["deleted"] == 1
    memory = (await aged.client.get(f"/v1/memories/{first}/")).json()
    assert (memory["lifecycle_state"], memory["replaced_by"]) == ("superseded", str(last))


async def age_archive(aged: RetentionProject, memory_id: UUID, *, days: int) -> None:
    """As if the run that archived it had been so many days ago."""
    for sql in (
        "update memories set archived_at = archived_at - make_interval(days => :days) where id = :id",
        "update memory_history set created_at = created_at - make_interval(days => :days) where memory_id = :id",
    ):
        await execute_sql(aged.resources, aged.namespace, sql, id=memory_id, days=days)


async def test_what_a_request_archived_is_not_deleted_by_a_rule(aged: RetentionProject) -> None:
    (memory_id,) = await aged.add("I fly gliders", days=100)
    await aged.client.post(f"/v1/memories/{memory_id}/archive")
    await age_archive(aged, memory_id, days=50)
    await aged.put({**OLD, "delete_after_days": 7})
    run = await aged.run()
    assert (run["archived"], run["deleted"]) == (0, 0)


# ---------------------------------------------------------------- legal holds


async def test_legal_hold_blocks_a_rule_visibly(aged: RetentionProject) -> None:
    bert = await create_namespace(aged.resources, aged.namespace.project_id, "bert")
    await aged.add("of ann", days=100)
    (of_bert,) = await aged.add("of bert", days=100, in_namespace=bert)
    await aged.client.put("/v1/admin/holds/ann")
    await aged.put({**OLD, "delete_after_days": 7})
    (preview,) = await aged.preview()
    assert (preview["archive"], preview["held"]) == (1, 1)
    run = await aged.run()
    assert (run["archived"], run["held"]) == (1, 1)
    assert await aged.live() == {"of ann"}
    await aged.client.put("/v1/admin/holds/bert")
    await age_archive(aged, of_bert, days=8)
    run = await aged.run()
    assert (run["archived"], run["deleted"], run["held"]) == (0, 0, 2)
    await aged.client.delete("/v1/admin/holds/ann")
    await aged.client.delete("/v1/admin/holds/bert")
    run = await aged.run()
    assert (run["archived"], run["deleted"], run["held"]) == (1, 1, 0)


# ---------------------------------------------------------------- runs


async def test_dry_run_shows_no_words_without_the_right_to_read_them(aged: RetentionProject, make_key: MakeKey) -> None:
    await aged.add("I fly gliders " + "far " * 100, days=100)
    await aged.put(OLD)
    (preview,) = await aged.preview()
    assert len(preview["samples"][0]["memory"]) == 200
    operator = (await make_key("projects:write")).client
    answer = await operator.post("/v1/admin/retention/run", json={"dry_run": True})
    assert answer.json()["rules"][0] | {"samples": None} == {**preview, "samples": None}
    assert answer.json()["rules"][0]["samples"] is None
    assert "gliders" not in answer.text


async def test_dry_run_tries_rules_that_are_not_stored(aged: RetentionProject) -> None:
    await aged.add("I fly gliders", days=100)
    body = {"dry_run": True, "policy": {"rules": [OLD]}}
    tried = (await aged.client.post("/v1/admin/retention/run", json=body)).json()
    assert [(rule["archive"], [each["memory"] for each in rule["samples"]]) for rule in tried["rules"]] == [
        (1, ["I fly gliders"])
    ]
    assert (await aged.client.get("/v1/admin/retention")).json()["rules"] == []
    refused = await aged.client.post("/v1/admin/retention/run", json={"policy": {"rules": [OLD]}})
    assert (refused.status_code, "Store it first" in refused.text) == (422, True)


async def open_run(aged: RetentionProject, *rules: Rule) -> PolicyRun:
    """A run whose job takes two memories at a time."""
    await aged.put(*rules)
    run_id = await aged.start()
    async with aged.resources.database.transaction(aged.namespace.project_id) as tx:
        row = await RetentionRunRepository(tx, aged.namespace.project_id).begin(run_id)
    assert row is not None
    return PolicyRun(aged.resources, row, batch_size=2)


async def test_interrupted_run_goes_on_and_counts_each_memory_once(aged: RetentionProject) -> None:
    await aged.add(*(f"memory {number}" for number in range(7)), days=100)
    interrupted = await open_run(aged, OLD)
    async with aclosing(interrupted.batches()) as batches:
        assert [await anext(batches), await anext(batches)] == [2, 2]
    run_id = await aged.start()
    before = await aged.read(run_id)
    assert (before["state"], before["archived"]) == ("running", 4)
    await run_once(aged.resources, aged.namespace.project_id, run_id)
    after = await aged.read(run_id)
    assert (after["state"], after["archived"], after["started_at"]) == ("finished", 7, before["started_at"])
    await run_once(aged.resources, aged.namespace.project_id, run_id)
    assert await aged.read(run_id) == after, "a run that has ended does nothing"


async def test_two_executions_of_one_run_count_each_memory_once(aged: RetentionProject) -> None:
    """As when a worker was only slow, and its job was queued again."""
    await aged.add(*(f"memory {number}" for number in range(12)), days=100)
    runs = [await open_run(aged, OLD), await open_run(aged, OLD)]
    counts = await asyncio.gather(*(collect(run) for run in runs))
    assert sum(map(sum, counts)) == 12
    for run in runs:
        await run.finish()
    (listed,) = (await aged.client.get("/v1/admin/retention/runs")).json()["results"]
    assert (listed["archived"], listed["state"]) == (12, "finished")


async def collect(run: PolicyRun) -> list[int]:
    return [count async for count in run.batches()]


async def test_two_instances_run_the_policy_once_and_tell_webhooks_once(aged: RetentionProject) -> None:
    await aged.add(*(f"memory {number}" for number in range(20)), days=100)
    await aged.put(OLD)
    project_id = aged.namespace.project_id
    hook: dict[str, Any] = {"project_id": project_id, "name": "H", "url": "http://127.0.0.1:9"}
    async with aged.resources.database.transaction(project_id) as tx:
        await insert_row(tx, "webhooks", {**hook, "event_types": ["retention_run", "memory_archive"]})
    async with run_jobs(aged.resources, concurrency=2), run_jobs(aged.resources, concurrency=2):
        queued = await asyncio.gather(*(schedule_runs(aged.resources) for _ in range(4)))
        started = await asyncio.gather(aged.start(), aged.start())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await aged.read(started[0]))["state"] != "finished":  # noqa: ASYNC110  # other tasks change it
                await asyncio.sleep(0.05)
    assert sum(queued) >= 1
    await schedule_runs(aged.resources)
    listed = (await aged.client.get("/v1/admin/retention/runs")).json()["results"]
    assert sum(run["archived"] for run in listed) == 20
    scheduled = [run for run in listed if run["cause"] == "schedule"]
    assert [(run["state"], run["archived"]) for run in scheduled] == [("finished", 20)]
    async with aged.resources.database.transaction(project_id) as tx:
        told = (await tx.execute(text("select event_type, memory_id, details from webhook_deliveries"))).all()
    assert {(row.event_type, row.memory_id) for row in told} == {("retention_run", None)}
    (details,) = [row.details for row in told if row.details["cause"] == "schedule"]
    assert details["rules"] == {"old": {"archived": 20, "deleted": 0, "held": 0}}
    assert "memory" not in json.dumps(details)


async def test_run_that_failed_unexpectedly_says_so_and_lets_the_next_one_start(aged: RetentionProject) -> None:
    await aged.put(OLD)
    run_id = await aged.start()
    broken = json.dumps({"rules": [{"name": "old"}]})
    sql = "update retention_runs set policy = cast(:policy as jsonb) where id = :id"
    await execute_sql(aged.resources, aged.namespace, sql, id=run_id, policy=broken)
    with pytest.raises(ValueError, match="every memory"):
        await run_once(aged.resources, aged.namespace.project_id, run_id)
    failed = await aged.read(run_id)
    assert (failed["state"], "server log" in failed["error"]) == ("failed", True)
    assert (await aged.run())["state"] == "finished"


def test_stored_policy_of_an_earlier_version_is_read() -> None:
    assert RetentionPolicy.model_validate({"rules": [OLD]}).rules[0].per == "project"
