"""A tenant_id is a wall, a project is a wall, and an end user reaches their own messages only."""

import uuid
from typing import Any

import httpx
import pytest

from app.core.ports import SearchScope
from app.core.resources import Resources
from app.memory.namespace import MessageNamespace
from tests.conftest import MakeKey, SignedUp, SignUp
from tests.gateways.messages.test_routes import URL, listed, search, store
from tests.members import add_member
from tests.memory.namespaces import new_project

TENANTS = (None, "a", "b", "A", "a ", ":messages:")


def of(tenant: str | None) -> dict[str, Any]:
    return {} if tenant is None else {"tenant_id": tenant}


async def test_message_of_a_tenant_is_found_under_this_tenant_only(client: httpx.AsyncClient) -> None:
    ids = {tenant: (await store(client, f"Python of {tenant}", **of(tenant)))["id"] for tenant in TENANTS}
    for tenant in TENANTS:
        assert await listed(client, **of(tenant)) == [f"Python of {tenant}"]
        assert [each["id"] for each in await search(client, **of(tenant))] == [ids[tenant]]
        for other in TENANTS:
            status = (await client.get(f"{URL}/{ids[other]}", params=of(tenant))).status_code
            assert (tenant, other, status) == (tenant, other, 200 if tenant == other else 404)
    assert (await client.delete(f"{URL}/{ids['a']}", params=of("b"))).status_code == 404
    assert (await client.delete(f"{URL}/{ids['a']}")).status_code == 404
    assert await listed(client, **of("a")) == ["Python of a"]


async def test_words_of_other_tenants_do_not_change_the_index_scores(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    async def scores() -> object:
        name = str(MessageNamespace(project_id, tenant_id="a"))
        await resources.index_queue.wait_until_indexed(project_id, [name])
        return await resources.index.find_by_words(SearchScope(project_id, (name,)), "Python", 10)

    await store(client, tenant_id="a")
    before = await scores()
    for tenant in ("b", None):
        await client.post(
            f"{URL}/batch?wait=true",
            json={
                "messages": [
                    {"conversation_id": "c", "role": "user", "content": f"Python {number}", **of(tenant)}
                    for number in range(20)
                ]
            },
        )
    assert await scores() == before


async def test_message_of_another_project_is_404(
    client: httpx.AsyncClient, make_key: MakeKey, resources: Resources
) -> None:
    stored = await store(client, tenant_id="a")
    other = (await make_key(project=await new_project(resources))).client
    for method in ("GET", "DELETE"):
        assert (await other.request(method, f"{URL}/{stored['id']}", params=of("a"))).status_code == 404
    assert (await search(other, **of("a")), await listed(other, **of("a"))) == ([], [])


async def test_end_user_reaches_own_messages_only(owner: SignedUp, sign_up: SignUp) -> None:
    person = await sign_up()
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", person, "USER")
    mine = person.client
    mine.headers["X-Project-Id"] = str(owner.project_id)
    foreign = await store(owner.client, "Python of Ann", user_id="ann")
    own = await store(mine, "My Python")
    assert own["user_id"] == str(person.account_id)
    assert (await listed(mine), [each["id"] for each in await search(mine)]) == (["My Python"], [own["id"]])
    assert await listed(owner.client, user_id=str(person.account_id)) == ["My Python"]
    for method in ("GET", "DELETE"):
        assert (await mine.request(method, f"{URL}/{foreign['id']}")).status_code == 404
    refused = await mine.post(URL, json={"conversation_id": "c", "role": "user", "content": "x", "user_id": "ann"})
    assert refused.status_code == 403
    batch = {"messages": [{"conversation_id": "c", "role": "user", "content": "x", "user_id": "ann"}]}
    (result,) = (await mine.post(f"{URL}/batch", json=batch)).json()["results"]
    assert (result["status"], result["code"]) == ("refused", "forbidden")


@pytest.mark.parametrize("scope", ["memories:read", "profiles:write"])
async def test_key_that_may_not_write_memories_stores_no_message(make_key: MakeKey, scope: str) -> None:
    holder = await make_key(scope)
    response = await holder.client.post(URL, json={"conversation_id": "c", "role": "user", "content": "x"})
    assert response.status_code == 403
