"""What ends a grant besides its revocation: a token that comes again, and what happens to the person."""

from tests.api_keys.oauth.conftest import RemoteClient
from tests.conftest import PASSWORD, SignedUp, SignUp
from tests.members import add_member


async def test_old_refresh_token_ends_the_grant_although_it_was_replaced_twice(remote: RemoteClient) -> None:
    """A thief could otherwise replace it twice, and the client's own token would reveal nothing."""
    first = await remote.tokens()
    second = (await remote.refresh(first["refresh_token"])).json()
    third = (await remote.refresh(second["refresh_token"])).json()
    assert (await remote.use(third["access_token"])).status_code == 200
    assert (await remote.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await remote.use(third["access_token"])).status_code == 401


async def test_invented_token_ends_no_grant(remote: RemoteClient) -> None:
    """The public part of a grant is shown in lists."""
    tokens = await remote.tokens()
    whole = tokens["refresh_token"]
    for invented in (whole[:-43] + "A" * 43, whole[:-22] + "A" * 22, whole[:-1] + ("A" if whole[-1] != "A" else "B")):
        assert (await remote.refresh(invented)).json()["error"] == "invalid_grant"
        assert (await remote.http.post("/oauth/revoke", data={"token": invented})).status_code == 200
    assert (await remote.use(tokens["access_token"])).status_code == 200
    assert (await remote.refresh(whole)).status_code == 200


async def test_client_is_told_to_ask_again_when_the_person_has_left(
    remote: RemoteClient, grantor: SignedUp, sign_up: SignUp
) -> None:
    member = await sign_up()
    members = f"/v1/projects/{grantor.project_id}/members"
    await add_member(grantor.client, members, member)
    member.client.headers["X-Project-Id"] = str(grantor.project_id)
    remote.person = member.client
    tokens = await remote.tokens(scope="memories:read")
    assert (await remote.use(tokens["access_token"])).status_code == 200
    assert (await grantor.client.delete(f"{members}/{member.account_id}")).status_code == 200
    assert (await remote.use(tokens["access_token"])).status_code == 401
    assert (await remote.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    await add_member(grantor.client, members, member)
    assert (await remote.use(tokens["access_token"])).status_code == 401, "the grant has ended, not only paused"


async def test_grant_ends_with_the_password_that_it_was_given_with(remote: RemoteClient, owner: SignedUp) -> None:
    """A thief of the password could otherwise keep the access that it gave itself."""
    remote.person = owner.client
    tokens = await remote.tokens()
    kept = await owner.client.post("/v1/api-keys", json={"name": "app"})
    body = {"password": f"{PASSWORD}-new", "current_password": PASSWORD}
    assert (await owner.client.patch("/v1/auth/me", json=body)).status_code == 200
    assert (await remote.use(tokens["access_token"])).status_code == 401
    assert (await remote.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    headers = {"X-API-Key": kept.json()["key"]}
    assert (await remote.http.get("/v1/projects", headers=headers)).status_code == 200, "keys are for programs"
