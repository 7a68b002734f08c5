"""The calls that are not about memories: exports, webhooks, the project and user profiles."""

import asyncio
import uuid
from typing import Any

from tests.conftest import SignUp
from tests.e2e.compatibility.outcomes import Outcomes
from tests.e2e.compatibility.surface import Call
from tests.e2e.mem0_python import ALICE
from tests.members import accept

STORED = "is stored, and has no effect"
ONE_VERSION = "is refused, unless it is `v2`"
BY_CLIENT = "the client itself refuses: not implemented"
HOOK = {"url": "https://hooks.example/in", "name": "Hook", "event_types": ["memory_add"]}
SCHEMA = {"properties": {"home_city": {"type": "string", "description": "The city they live in"}}}


class AllOutcomes(Outcomes):
    async def observe(self, sign_up: SignUp) -> dict[Call, str]:
        await self.add()
        await self.add_with_instructions()
        await self.read()
        await self.search()
        await self.change()
        await self.exports()
        await self.webhooks()
        await self.settings()
        await self.members(sign_up)
        await self.user_profiles()
        await self.delete()
        await self.projects()
        return self.found

    async def exports(self) -> None:
        schema = {"properties": {"memories": {"type": "array"}}}
        wanted = {"schema": schema, "filters": ALICE, "export_instructions": "Be brief"}
        made = await self.mem0("create_memory_export", **wanted)
        by_id = await self.mem0("get_memory_export", memory_export_id=made["id"])
        acts = set(by_id) == {"memories"} and len(by_id["memories"]) == 2
        self.note("create_memory_export", "schema", "filters", acts=acts)
        plain = await self.mem0("create_memory_export", schema=schema, filters=ALICE)
        same = await self.mem0("get_memory_export", memory_export_id=plain["id"]) == by_id
        needs_model = "has no effect without a language model"
        self.note("create_memory_export", "export_instructions", acts=not same, otherwise=needs_model)
        self.note("get_memory_export", "memory_export_id", acts=True)
        self.note("get_memory_export", "filters", acts=await self.mem0("get_memory_export", filters=ALICE) == by_id)

    async def webhooks(self) -> None:
        mem0, project = self.mem0, str(self.mem0.key.project_id)
        made = await mem0("create_webhook", project_id=project, **HOOK)
        self.note("create_webhook", *HOOK, acts={name: made[name] for name in HOOK} == HOOK)
        other = mem0("create_webhook", project_id=str(uuid.uuid4()), **HOOK)
        self.note("create_webhook", "project_id", acts=await self.is_refused(other))
        changed = {"url": "https://hooks.example/other", "name": "Other", "event_types": ["memory_delete"]}
        await mem0("update_webhook", made["webhook_id"], **changed)
        (found,) = await mem0("get_webhooks", project_id=project)
        self.note("update_webhook", "webhook_id", *changed, acts={name: found[name] for name in changed} == changed)
        self.note("get_webhooks", "project_id", acts=found["project"] == project)
        await mem0("delete_webhook", made["webhook_id"])
        self.note("delete_webhook", "webhook_id", acts=await mem0("get_webhooks", project_id=project) == [])

    async def settings(self) -> None:
        values: dict[str, Any] = {
            "custom_instructions": "Only food",
            "agent_custom_instructions": "Only promises",
            "custom_categories": [{"food": "What they eat"}],
            "multilingual": True,
            "decay": True,
        }
        for prefix, update in (("project.", "project.update"), ("", "update_project")):
            for name, value in values.items():
                await self.change_setting(update, name, value)
                found = await self.mem0(f"{prefix}get" if prefix else "get_project", fields=[name])
                self.note(update, name, acts=found == {name: value})
                self.note(f"{prefix}get" if prefix else "get_project", "fields", acts=set(found) == {name})
                await self.change_setting("project.update", name, [] if name == "custom_categories" else None)
        for name in ("memory_depth", "usecase_setting"):
            answer = await self.patch_project({name: "another"})
            assert answer.status_code == 200, answer.text
            found = await self.mem0("project.get", fields=[name])
            self.note("update_project", name, acts=False, otherwise=STORED if found == {name: "another"} else "is lost")
        answers = [(await self.patch_project({"version": version})).status_code for version in ("v2", "another")]
        self.note("update_project", "version", acts=answers == [200, 200], otherwise=ONE_VERSION)

    async def change_setting(self, method: str, name: str, value: Any) -> None:
        """Only the npm client's older call has `decay`, and the Python client cannot clear a setting."""
        if value is None or (method, name) == ("update_project", "decay"):
            assert (await self.patch_project({name: value})).status_code == 200
        else:
            await self.mem0(method, **{name: value})

    async def patch_project(self, values: dict[str, Any]) -> Any:
        ping = (await self.http.get("/v1/ping/")).json()
        path = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{ping['project_id']}/"
        return await self.http.patch(path, json=values)

    async def members(self, sign_up: SignUp) -> None:
        mem0, person = self.mem0, await sign_up()
        invited = await mem0("project.add_member", person.email, "READER")
        await accept(person, invited["invitation_id"], invited["token"])
        (member,) = (await mem0("project.get_members"))["members"]
        self.note("project.get_members", acts=member["username"] == person.email)
        self.note("project.add_member", "email", "role", acts=member["role"] == "READER")
        await mem0("project.update_member", person.email, "OWNER")
        (member,) = (await mem0("project.get_members"))["members"]
        self.note("project.update_member", "email", "role", acts=member["role"] == "OWNER")
        await mem0("project.remove_member", person.email)
        self.note("project.remove_member", "email", acts=(await mem0("project.get_members"))["members"] == [])

    async def user_profiles(self) -> None:
        mem0 = self.mem0
        await mem0.add_verbatim("I moved", metadata={"home_city": "Rome"})
        changed = {"enabled": True, "schema": SCHEMA, "custom_instructions": "Be brief"}
        settings = await mem0("update_profile_settings", **changed)
        entity = {"schema": SCHEMA, "custom_instructions": "Be brief"}
        acts = settings["enabled"] is True and settings["entities"]["user"] == entity
        self.note("update_profile_settings", *changed, acts=acts)
        self.note("get_profile_settings", acts=await mem0("get_profile_settings") == settings)
        started = [await mem0("generate_profile", "alice", idempotency_key="once") for _ in range(2)]
        self.note("generate_profile", "idempotency_key", acts=started[0]["job_id"] == started[1]["job_id"])
        job = await self.finished(started[0]["status_url"])
        self.note("get_profile_job", "job_id_or_status_url", acts=job["status"] == "succeeded")
        profile = await mem0("get_profile", "alice")
        self.note("generate_profile", "entity_id", acts=profile["generation_count"] == 1)
        self.note("get_profile", "entity_id", acts=profile["profile"] == {"home_city": "Rome"})
        samples = [await mem0("sample_profiles", limit=1, idempotency_key="again") for _ in range(2)]
        self.note("sample_profiles", "idempotency_key", acts=samples[0]["job_id"] == samples[1]["job_id"])
        self.note("sample_profiles", "limit", acts=samples[0]["sampled"] == 1)
        await self.finished(samples[0]["status_url"])

    async def finished(self, status_url: str) -> dict[str, Any]:
        for _ in range(1200):
            job: dict[str, Any] = (await self.mem0("get_profile_job", status_url))["job"]
            if job["status"] not in ("pending", "running"):
                return job
            await asyncio.sleep(0.05)
        raise AssertionError("The job never ended")

    async def projects(self) -> None:
        made = await self.mem0("project.create", name="Shop", description="Sells")
        self.note("project.create", "name", "description", acts=made["project_id"] != str(self.mem0.key.project_id))
        try:
            await self.mem0("chat")
        except NotImplementedError:
            self.note("chat", acts=False, otherwise=BY_CLIENT)
        await self.mem0("project.delete")
        self.note("project.delete", acts=await self.is_refused(self.mem0("get_all", filters=ALICE)))
