"""What people see of their grants, and how they end them."""

import json

from app.api_keys.oauth.clients import REGISTERED
from tests.api_keys.oauth.conftest import CALLBACK, RemoteClient
from tests.conftest import SignedUp, SignUp
from tests.members import add_member

GRANTS = "/v1/grants"


async def test_list_of_keys_marks_a_grant_which_can_only_be_revoked(remote: RemoteClient) -> None:
    await remote.tokens(scope="memories:read")
    (grant,) = await remote.grants()
    assert grant["client"] == {"document": None, "redirect_uri": CALLBACK}
    assert (grant["name"], grant["scopes"]) == (remote.name, ["memories:read"])
    assert REGISTERED not in json.dumps(grant)
    path = f"/v1/api-keys/{grant['id']}"
    for change in ({"scopes": ["memories:write"]}, {"expires_at": "2099-01-01T00:00:00Z"}, {"name": "x"}):
        refused = await remote.person.patch(path, json=change)
        assert (refused.status_code, "Revoke it" in refused.json()["detail"]) == (409, True), "more than was agreed to"
    key = (await remote.person.post("/v1/api-keys", json={"name": "app"})).json()
    assert key["client"] is None
    assert (await remote.person.delete(f"{GRANTS}/{key['id']}")).status_code == 404, "a key is no grant"


async def test_end_user_grants_access_and_ends_it(remote: RemoteClient, grantor: SignedUp, sign_up: SignUp) -> None:
    member = await sign_up()
    await add_member(grantor.client, f"/v1/projects/{grantor.project_id}/members", member, "USER")
    headers = {"X-Project-Id": str(grantor.project_id)}
    owner, remote.person = remote.person, member.client
    member.client.headers.update(headers)
    token = (await remote.tokens())["access_token"]
    assert (await remote.use(token, "add_memory", text="I like tea", infer=False)).json()["result"]["isError"] is False
    (grant,) = (await member.client.get(GRANTS)).json()["results"]
    assert grant["name"] == remote.name
    assert remote.name not in (await owner.get(GRANTS)).text, "grants of others are not listed"
    assert (await owner.delete(f"{GRANTS}/{grant['id']}")).status_code == 404
    assert (await remote.use(token)).status_code == 200
    assert (await member.client.delete(f"{GRANTS}/{grant['id']}")).status_code == 200
    assert (await remote.use(token)).status_code == 401
    assert (await member.client.get(GRANTS)).json()["results"] == []


async def test_client_of_an_owner_acts_for_the_owner_only(remote: RemoteClient, grantor: SignedUp) -> None:
    """The consent speaks of the person's own memories."""
    added = await grantor.client.post(
        "/v1/memories/", json={"messages": "Bob likes coffee", "user_id": "bob", "infer": False}
    )
    assert added.status_code == 200, added.text
    token = (await remote.tokens())["access_token"]
    for tool, arguments in (
        ("get_memories", {"user_id": "bob"}),
        ("add_memory", {"text": "x", "user_id": "bob", "infer": False}),
        ("list_profiles", {"user_id": "bob"}),
        ("delete_all_memories", {"user_id": "bob"}),
    ):
        answer = (await remote.use(token, tool, **arguments)).json()["result"]
        assert "coffee" not in json.dumps(answer)
        assert answer["isError"] is True or json.loads(answer["content"][0]["text"])["results"] == []
    answer = (await remote.use(token, "get_memories", filters={"user_id": "*"})).text
    assert "coffee" not in answer
    found = await grantor.client.get("/v1/memories/", params={"user_id": "bob"})
    assert "coffee" in found.text
