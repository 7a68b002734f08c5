"""What happens with each parameter of mem0's clients, observed with the Python client."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import httpx
from mem0.client.types import DeleteAllMemoryOptions
from mem0.exceptions import MemoryError

from app.core.resources import Resources
from app.memory.supersession import Replacement, supersede
from tests.e2e.compatibility.surface import Call
from tests.e2e.mem0_python import ALICE, Mem0

ACTS = "acts"
WARNS = "has no effect: named in `warnings`"
ALWAYS_MIXED = "has no effect: every search compares meaning and words"
NO_STATISTICS = "has no effect: a label for mem0's statistics"
IDS = ("user_id", "agent_id", "app_id", "run_id")
TEA, WORK, HIKE = "I like green tea", "I work as a carpenter", "I hike in the Alps"


class Outcomes:
    """Calls every method once with each parameter, in one project, and notes whether the parameter acted."""

    def __init__(self, mem0: Mem0, http: httpx.AsyncClient, resources: Resources) -> None:
        self.mem0 = mem0
        self.resources = resources
        self.http = http
        """For what only the npm client sends: the same fields of the same requests."""
        self.found: dict[Call, str] = {}
        self.ids: list[str] = []

    def note(self, method: str, *parameters: str, acts: bool, otherwise: str = "does not act") -> None:
        self.found.update({(method, parameter): ACTS if acts else otherwise for parameter in parameters or ("",)})

    async def texts(self, method: str, *arguments: str, **options: Any) -> list[str]:
        options = {"filters": ALICE, **options}
        return [row["memory"] for row in (await self.mem0(method, *arguments, **options))["results"]]

    async def is_refused(self, call: Awaitable[Any]) -> bool:
        try:
            await call
        except MemoryError:
            return True
        return False

    # ---------------------------------------------------------------- memories

    async def add(self) -> None:
        add = self.mem0.add_verbatim
        self.ids = [
            await add(TEA, metadata={"topic": "drink"}, timestamp=1735689600),
            await add(WORK, agent_id="a1", app_id="shop", run_id="r1"),
            await add(HIKE, expiration_date="2020-01-01"),
        ]
        tea, work, hike = [await self.mem0("get", each) for each in self.ids]
        self.note("add", "messages", "infer", acts=(tea["memory"], tea["kind"]) == (TEA, "episode"))
        self.note("add", "metadata", acts=tea["metadata"] == {"topic": "drink"})
        self.note("add", "timestamp", acts=tea["created_at"].startswith("2025-01-01T00:00:00"))
        ids = {"user_id": "alice", "agent_id": "a1", "app_id": "shop", "run_id": "r1"}
        self.note("add", *IDS, acts={name: work[name] for name in ids} == ids)
        self.note("add", "expiration_date", acts=hike["expiration_date"] == "2020-01-01")
        await self.mem0("add", "By filters", infer=False, filters={"user_id": "filtered"})
        self.note("add", "filters", acts=await self.texts("get_all", filters={"user_id": "filtered"}) == ["By filters"])

    async def add_with_instructions(self) -> None:
        """Instructions need a language model, and this server has none."""
        for name in ("custom_instructions", "agent_custom_instructions", "structured_data_schema"):
            value: Any = {"type": "object"} if name == "structured_data_schema" else "Only food"
            answer = await self.mem0("add", "Hello there", user_id="instructed", **{name: value})
            self.note("add", name, acts=False, otherwise=WARNS if name in str(answer.get("warnings")) else "is lost")
        categories = [{"food": "What they eat and drink, such as bread, cheese and tea"}]
        memory_id = await self.mem0.add_verbatim(
            "I eat bread and cheese", custom_categories=categories, user_id="eater"
        )
        for _ in range(600):
            if named := (await self.mem0("get", memory_id))["categories"]:
                break
            await asyncio.sleep(0.1)
        self.note("add", "custom_categories", acts=named == ["food"])

    async def read(self) -> None:
        self.note("get", "memory_id", acts=(await self.mem0("get", self.ids[0]))["memory"] == TEA)
        history = await self.mem0("history", self.ids[0])
        self.note("history", "memory_id", acts=history[0]["new_memory"] == TEA)
        listed = self.texts
        self.note("get_all", "filters", acts=await listed("get_all", filters={"user_id": "nobody"}) == [])
        pages = [await listed("get_all", page=page, page_size=1) for page in (1, 2)]
        self.note("get_all", "page", "page_size", acts=pages == [[WORK], [TEA]])
        self.note("get_all", "show_expired", acts=HIKE in await listed("get_all", show_expired=True))
        self.note("get_all", "start_date", acts=await listed("get_all", start_date="2025-01-02") == [WORK])
        self.note("get_all", "end_date", acts=await listed("get_all", end_date="2025-01-01") == [TEA])
        self.note("get_all", "categories", acts=await listed("get_all", categories=["music"]) == [])
        summary = await self.mem0("get_summary", filters=ALICE)
        self.note("get_summary", "filters", acts=summary["count"] == 2)
        whole = (await self.mem0("users"))["count"]
        page = (await self.http.get("/v1/entities/", params={"page": 2, "page_size": 1})).json()
        self.note("users", "page", "page_size", acts=(page["count"], len(page["results"])) == (whole, 1))

    async def search(self) -> None:
        def search(query: str = "What do I drink?", **options: Any) -> Awaitable[list[str]]:
            return self.texts("search", query, **{"threshold": 0, **options})

        self.note("search", "query", acts=(await search())[0] != (await search("What is my work?"))[0])
        self.note("search", "filters", acts=await search(filters={"user_id": "nobody"}) == [])
        self.note("search", "metadata", acts=await search("my work", metadata={"topic": "drink"}) == [TEA])
        self.note("search", "top_k", acts=len(await search(top_k=1)) == 1)
        self.note("search", "threshold", acts=len(await search(threshold=0.99)) < len(await search()))
        self.note("search", "categories", acts=await search(categories=["music"]) == [])
        self.note("search", "show_expired", acts=HIKE in await search(show_expired=True))
        explained = {"threshold": 0, "explain": True, "filters": ALICE}
        best = (await self.mem0("search", "green tea", rerank=True, **explained))["results"][0]
        self.note("search", "rerank", acts="sentences" in best["score_breakdown"])
        then = await search("my work", reference_date="2025-01-01")
        self.note("search", "reference_date", acts=then == [TEA])
        rows = (await self.mem0("search", "tea", filters=ALICE, threshold=0, fields=["memory"]))["results"]
        self.note("search", "fields", acts=all(row.keys() == {"memory"} for row in rows))
        ignored = [await search("green tea", **more) for more in ({}, {"keyword_search": True}, {"source": "N8N"})]
        same = ignored[0] == ignored[1] == ignored[2]
        self.note("search", "keyword_search", acts=not same, otherwise=ALWAYS_MIXED)
        self.note("search", "source", acts=not same, otherwise=NO_STATISTICS)

    async def change(self) -> None:
        mem0, memory_id = self.mem0, await self.mem0.add_verbatim("I live in Rome", user_id="mover")
        change = {"text": "I live in Oslo", "metadata": {"a": 1}, "expiration_date": "2999-12-31"}
        changed = await mem0("update", memory_id, **change, timestamp=1735689600)
        self.note("update", "memory_id", "text", acts=changed["memory"] == "I live in Oslo")
        self.note("update", "metadata", acts=changed["metadata"] == {"a": 1})
        self.note("update", "expiration_date", acts=changed["expiration_date"] == "2999-12-31")
        self.note("update", "timestamp", acts=changed["updated_at"].startswith("2025-01-01"))
        await mem0("batch_update", [{"memory_id": memory_id, "text": "I live in Bern"}])
        self.note("batch_update", "memories", acts=(await mem0("get", memory_id))["memory"] == "I live in Bern")
        rated = await mem0("feedback", memory_id, feedback="POSITIVE", feedback_reason="True")
        self.note("feedback", "memory_id", "feedback", acts=rated["feedback"] == "POSITIVE")
        self.note("feedback", "feedback_reason", acts=rated["feedback_reason"] == "True")
        await mem0("batch_delete", [{"memory_id": memory_id}])
        self.note("batch_delete", "memories", acts=await self.is_refused(mem0("get", memory_id)))
        await self.superseded_memories()

    async def superseded_memories(self) -> None:
        """`delete_linked` and `latest_only` concern memories that a newer one replaced."""
        mover = {"user_id": "replaced"}
        older, newer = [await self.mem0.add_verbatim(f"I live in {city}", **mover) for city in ("Rome", "Oslo")]
        async with self.resources.database.transaction(self.mem0.key.project_id) as tx:
            await supersede(tx, self.mem0.key.project_id, [Replacement(UUID(older), UUID(newer))])
        for method, arguments in (("get_all", ()), ("search", ("Where do I live?",))):
            sizes = [
                len(await self.texts(method, *arguments, filters=mover, latest_only=latest, **more))
                for latest in (True, False)
                for more in ({"threshold": 0} if method == "search" else {},)
            ]
            self.note(method, "latest_only", acts=sizes == [1, 2])
        deleted = await self.mem0("delete", newer, delete_linked=True)
        self.note("delete", "memory_id", acts=await self.is_refused(self.mem0("get", newer)))
        linked = deleted["cascade_count"] == 1 and await self.is_refused(self.mem0("get", older))
        self.note("delete", "delete_linked", acts=linked)

    async def delete(self) -> None:
        mem0 = self.mem0
        for method in ("delete_all", "delete_users"):
            for name in IDS:
                owner = {name: f"gone from {method}"}
                await mem0.add_verbatim("To delete", **{"agent_id": "kept", **owner})
                await mem0(method, **owner)
                self.note(method, name, acts=await self.texts("get_all", filters=owner) == [])
        await mem0("delete_all", options=DeleteAllMemoryOptions(filters=ALICE))
        self.note("delete_all", "filters", acts=await self.texts("get_all", show_expired=True) == [])
        users = (await self.http.get("/v1/entities/")).json()["results"]
        first = next(each for each in users if each["type"] == "user")
        gone = await self.http.delete(f"/v1/entities/user/{first['id']}/")
        left = (await self.http.get("/v1/entities/")).json()["results"]
        self.note("delete_user", "entity_id", "entity_type", acts=gone.is_success and first not in left)
        await mem0("reset")
        self.note("reset", acts=(await mem0("users"))["count"] == 0)
