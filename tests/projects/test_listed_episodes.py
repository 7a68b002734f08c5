"""A project can leave episodes out of the lists of memories."""

from typing import Any

import pytest_asyncio

from tests.conftest import SignedUp

FACT, EPISODE = "I live in Oslo", "I work at Birch"


async def listed(owner: SignedUp, **body: Any) -> list[str]:
    answer = (
        await owner.client.post("/v3/memories/", json={"filters": {"user_id": str(owner.account_id)}, **body})
    ).json()
    assert answer["count"] == len(answer["results"])
    return sorted(each["memory"] for each in answer["results"])


@pytest_asyncio.fixture(autouse=True)
async def memories(owner: SignedUp) -> None:
    said = {"messages": EPISODE, "infer": False}
    assert (await owner.client.post("/v3/memories/add/", json=said)).status_code == 200
    fact = f'{{"type": "memory", "user_id": "{owner.account_id}", "kind": "fact", "memory": "{FACT}"}}'
    assert (await owner.client.post("/v1/import", content=fact)).json()["errors"] == []


async def test_episodes_are_left_out_of_lists_where_the_project_says_so(owner: SignedUp, project: str) -> None:
    assert (await owner.client.get(project)).json()["list_episodes"] is True
    assert await listed(owner) == [FACT, EPISODE]
    assert (await owner.client.patch(project, json={"consolidate": True})).json()["list_episodes"] is True
    changed = await owner.client.patch(project, json={"list_episodes": False})
    assert (changed.json()["list_episodes"], changed.json()["consolidate"]) == (False, True)
    assert await listed(owner) == [FACT]
    assert await listed(owner, keywords="work") == []
    older = (await owner.client.get(f"/v1/memories/?user_id={owner.account_id}")).json()
    assert [each["memory"] for each in older] == [FACT]
    of_kind = {"AND": [{"user_id": str(owner.account_id)}, {"kind": "episode"}]}
    assert await listed(owner, filters=of_kind) == [EPISODE]
    question = {"query": "Where do I work?", "filters": {"user_id": str(owner.account_id)}, "threshold": 0}
    found = (await owner.client.post("/v3/memories/search/", json=question)).json()["results"]
    assert EPISODE in [each["memory"] for each in found]
    await owner.client.patch(project, json={"list_episodes": None, "name": "New"})
    assert await listed(owner) == [FACT]
    await owner.client.patch(project, json={"list_episodes": True})
    assert await listed(owner) == [FACT, EPISODE]
