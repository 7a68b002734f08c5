"""People are invited to a project or an organization, and become members when they accept."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.database.database import Database
from app.core.rate_limit import INVITATION_MAILS, INVITATIONS
from app.core.resources import Resources
from app.core.ttl_cache import TtlCache
from app.identity.local.provider import local_issuer
from app.identity.tokens import Verifier
from app.main import create_app
from app.projects.invitations.repository import SENT_A_DAY
from app.projects.jobs import DELETE_OLD_INVITATIONS_SQL
from app.settings import Settings, SignupMode
from app.wiring.accounts import open_invitation_mail, provision_by_mode
from tests.conftest import PASSWORD, SignedUp, SignUp, open_client
from tests.identity.local.conftest import (
    ISSUER,
    SECRET,
    Provider,
    build_provider,
    close_provider,
    new_email,
    sign_up_confirmed,
)
from tests.members import accept, add_member, invite

PATH = "/v1/invitations"
EXPIRE_SQL = text("update invitations set expires_at = now() - interval '1 minute' where id = :id")
WITHDRAW_SQL = text("update invitations set status = 'withdrawn', ended_at = now() where id = :id")
ADD_WITHOUT_CONSENT_SQL = text(
    "insert into organization_members (organization_id, account_id, role) values (:id, :who, :role)"
)
MEMBERSHIP_SQL = text("select role, joined from organization_members where organization_id = :id and account_id = :who")
UNCONFIRM_SQL = text("update auth.users set email_confirmed_at = null where id = :id")
BAN_SQL = text("update auth.users set banned_until = now() + interval '1 hour' where id = :id")
COUNT_SQL = text("select count(*) from invitations where id = any(:ids)")
FILL_SQL = text("""
insert into invitations (project_id, email, role, token_hash, created_at, expires_at, status, ended_at)
select :id, n || '@example.com', 'USER', 'x', now() - interval '22 hours', now(), 'withdrawn', now()
from generate_series(1, :count) n
""")


async def run_as_operator(admin_engine: AsyncEngine, statement: Any, **values: object) -> None:
    async with admin_engine.begin() as connection:
        await connection.execute(statement, values)


async def send(client: httpx.AsyncClient, email: str, **body: object) -> dict[str, Any]:
    answer = await client.post(PATH, json={"email": email, **body})
    assert answer.status_code == 201, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


async def received(person: SignedUp) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.client.get(f"{PATH}/received")).json()["results"]
    return found


async def sent_by(owner: SignedUp) -> list[tuple[str, str]]:
    found = (await owner.client.get(PATH)).json()["results"]
    return [(each["email"], each["status"]) for each in found]


def without_secrets(sent: dict[str, Any]) -> dict[str, Any]:
    return {**sent, **dict.fromkeys(("id", "email", "created_at", "expires_at", "token"))}


# ---------------------------------------------------------------- sending and accepting


async def test_invited_person_is_no_member_until_they_accept(owner: SignedUp, other: SignedUp, project: str) -> None:
    sent = await send(owner.client, other.email, project_id=str(owner.project_id))
    assert (sent["status"], sent["role"], sent["invited_by"]) == ("pending", "READER", owner.email)
    valid_for = dt.datetime.fromisoformat(sent["expires_at"]) - dt.datetime.fromisoformat(sent["created_at"])
    assert valid_for == dt.timedelta(days=7)
    assert (await other.client.get(project)).status_code == 404
    assert other.email not in (await owner.client.get(f"{project}/members")).text
    accepted = await accept(other, sent["id"], sent["token"])
    assert accepted.json() == {"project_id": str(owner.project_id), "organization_id": None, "role": "READER"}
    assert (await other.client.get(project)).json()["role"] == "READER"
    assert await sent_by(owner) == [(other.email, "accepted")]
    assert (await accept(other, sent["id"], sent["token"])).status_code == 404


async def test_organization_invitation_gives_access_to_its_projects(
    owner: SignedUp, other: SignedUp, project: str, organization: str
) -> None:
    organization_id = organization.rpartition("/")[2]
    sent = await send(owner.client, other.email, organization_id=organization_id, role="OWNER")
    listed = (await owner.client.get(f"{PATH}?organization_id={organization_id}&status=pending")).json()["results"]
    assert [each["id"] for each in listed] == [sent["id"]]
    assert (await accept(other, sent["id"], sent["token"])).status_code == 200
    assert (await other.client.get(project)).json()["role"] == "OWNER"
    wrong = await owner.client.post(
        PATH, json={"email": other.email, "organization_id": organization_id, "role": "USER"}
    )
    assert (wrong.status_code, "project_id" in wrong.json()["detail"]) == (422, True)


async def test_answer_and_list_do_not_reveal_who_has_an_account(owner: SignedUp, other: SignedUp) -> None:
    known, unknown = await send(owner.client, other.email.upper()), await send(owner.client, new_email())
    assert without_secrets(known) == without_secrets(unknown)
    listed = (await owner.client.get(PATH)).json()["results"]
    assert [each["email"] for each in listed] == [unknown["email"], other.email]
    assert without_secrets(listed[0]) == without_secrets(listed[1])
    for email in (other.email, unknown["email"]):
        again = await owner.client.post(PATH, json={"email": email})
        assert (again.status_code, "pending" in again.json()["detail"]) == (409, True)


async def test_only_the_invited_address_can_accept(owner: SignedUp, other: SignedUp, sign_up: SignUp) -> None:
    sent, stranger = await send(owner.client, other.email), await sign_up()
    assert (await accept(stranger, sent["id"], sent["token"])).status_code == 404
    assert await received(stranger) == []
    for token in (None, "wrong", f"{sent['token']}x"):
        refused = await accept(other, sent["id"], token)
        assert (refused.status_code, "`token`" in refused.json()["detail"]) == (403, True)
    [shown] = await received(other)
    assert (shown["token_required"], shown["name"], shown["invited_by"]) == (True, None, None)
    assert (await accept(other, str(uuid.uuid4()), sent["token"])).status_code == 404


async def test_declined_invitation_can_be_sent_again(owner: SignedUp, other: SignedUp, project: str) -> None:
    first = await send(owner.client, other.email)
    declined = await other.client.post(f"{PATH}/{first['id']}/decline", json={"token": first["token"]})
    assert declined.status_code == 200
    assert (await accept(other, first["id"], first["token"])).status_code == 404
    assert await sent_by(owner) == [(other.email, "declined")]
    second = await send(owner.client, other.email)
    assert (await accept(other, second["id"], first["token"])).status_code == 403
    assert (await accept(other, second["id"], second["token"])).status_code == 200
    assert (await other.client.get(project)).status_code == 200


async def test_withdrawn_invitation_cannot_be_accepted(owner: SignedUp, other: SignedUp) -> None:
    sent = await send(owner.client, other.email)
    assert (await other.client.delete(f"{PATH}/{sent['id']}")).status_code == 404
    assert (await owner.client.delete(f"{PATH}/{sent['id']}")).status_code == 200
    assert (await owner.client.delete(f"{PATH}/{sent['id']}")).status_code == 404
    assert (await accept(other, sent["id"], sent["token"])).status_code == 404
    assert await received(other) == []
    assert (await send(owner.client, other.email))["status"] == "pending"


async def test_invitation_is_not_accepted_while_it_is_withdrawn(
    owner: SignedUp, other: SignedUp, project: str, database: Database
) -> None:
    sent = await send(owner.client, other.email)
    async with database.system() as tx:
        await tx.execute(WITHDRAW_SQL, {"id": uuid.UUID(sent["id"])})
        accepting = asyncio.create_task(accept(other, sent["id"], sent["token"]))
        await asyncio.wait([accepting], timeout=0.3)
    assert (await accepting).status_code == 404
    assert (await other.client.get(project)).status_code == 404


async def test_expired_invitation_cannot_be_accepted(
    owner: SignedUp, other: SignedUp, admin_engine: AsyncEngine
) -> None:
    sent = await send(owner.client, other.email)
    await run_as_operator(admin_engine, EXPIRE_SQL, id=uuid.UUID(sent["id"]))
    assert (await accept(other, sent["id"], sent["token"])).status_code == 404
    assert await received(other) == []
    assert await sent_by(owner) == [(other.email, "expired")]
    assert (await owner.client.delete(f"{PATH}/{sent['id']}")).status_code == 404
    await send(owner.client, other.email)
    assert await sent_by(owner) == [(other.email, "pending"), (other.email, "expired")]


@pytest.mark.parametrize("end", ["removed", "reader", "banned"])
async def test_invitation_ends_with_the_rights_of_its_sender(
    end: str, owner: SignedUp, other: SignedUp, project: str, sign_up: SignUp, admin_engine: AsyncEngine
) -> None:
    """Otherwise a removed owner could return with an invitation to another address."""
    second = await sign_up()
    await add_member(owner.client, f"{project}/members", second, "OWNER")
    invitation, token = await invite(second.client, f"{project}/members", other.email, "OWNER")
    member = f"{project}/members/{second.account_id}"
    if end == "removed":
        assert (await owner.client.delete(member)).status_code == 200
    elif end == "reader":
        assert (await owner.client.patch(member, json={"role": "READER"})).status_code == 200
    else:
        await run_as_operator(admin_engine, BAN_SQL, id=second.account_id)
    assert (await accept(other, invitation, token)).status_code == 404
    assert await received(other) == []


async def test_only_owners_and_admin_keys_invite(
    owner: SignedUp, other: SignedUp, project: str, organization: str, client: httpx.AsyncClient, app: FastAPI
) -> None:
    await add_member(owner.client, f"{project}/members", other, "READER")
    body = {"email": new_email(), "project_id": str(owner.project_id)}
    for method, url in (("POST", PATH), ("GET", f"{PATH}?project_id={owner.project_id}")):
        refused = await other.client.request(method, url, json=body if method == "POST" else None)
        assert refused.status_code == 403, refused.text
        assert (await client.request(method, url, json=body if method == "POST" else None)).status_code == 404
    await add_member(owner.client, f"{organization}/members", other, "READER")
    body_of_organization = {"email": new_email(), "organization_id": organization.rpartition("/")[2]}
    assert (await other.client.post(PATH, json=body_of_organization)).status_code == 403
    assert (await send(client, body["email"], role="OWNER"))["invited_by"] is None
    key = await owner.client.post("/v1/api-keys", json={"name": "admin", "scopes": ["admin", "projects:read"]})
    async with open_client(app, key.json()["key"]) as admin:
        assert (await send(admin, body["email"]))["invited_by"] == owner.email
        for more in ({"role": "OWNER"}, {"organization_id": organization.rpartition("/")[2]}):
            refused = await admin.post(PATH, json={"email": new_email(), **more})
            assert refused.status_code == 403, refused.text
        assert (await admin.get(f"{PATH}/received")).status_code == 403


async def test_log_and_table_contain_no_token_and_the_log_no_address(
    owner: SignedUp, other: SignedUp, admin_engine: AsyncEngine
) -> None:
    with capture_logs() as logs:
        sent = await send(owner.client, other.email)
        await accept(other, sent["id"], sent["token"])
    events = [each["event"] for each in logs if each["event"].startswith("invitation.")]
    assert events == ["invitation.sent", "invitation.accepted"]
    assert other.email not in str(logs)
    async with admin_engine.connect() as connection:
        row = await connection.scalar(text("select i::text from invitations i where id = :id"), {"id": sent["id"]})
    assert sent["token"] not in f"{logs}{row}"
    assert sent["token"].encode().hex() not in row, "the table contains only a hash"


# ---------------------------------------------------------------- the default project


async def default_project(person: SignedUp) -> str:
    found: str = (await person.client.get("/v1/ping/")).json()["project_id"]
    return found


async def test_nobody_falls_into_a_project_that_they_did_not_accept(
    owner: SignedUp, other: SignedUp, organization: str, admin_engine: AsyncEngine
) -> None:
    """Memberships of earlier releases were made without consent. They stay, but are never the default."""
    values = {"id": uuid.UUID(organization.rpartition("/")[2]), "who": other.account_id, "role": "OWNER"}
    await run_as_operator(admin_engine, ADD_WITHOUT_CONSENT_SQL, **values)
    assert (await other.client.delete(f"/v1/projects/{other.project_id}")).status_code == 200
    assert await default_project(other) not in (str(owner.project_id), str(other.project_id))
    here = {"X-Project-Id": str(owner.project_id)}
    assert (await other.client.get("/v1/ping/", headers=here)).json()["project_id"] == str(owner.project_id)


async def test_acceptance_keeps_the_role_of_a_membership_without_consent(
    owner: SignedUp, other: SignedUp, organization: str, admin_engine: AsyncEngine
) -> None:
    organization_id = organization.rpartition("/")[2]
    sent = await send(owner.client, other.email, organization_id=organization_id, role="READER")
    values = {"id": uuid.UUID(organization_id), "who": other.account_id}
    await run_as_operator(admin_engine, ADD_WITHOUT_CONSENT_SQL, **values, role="OWNER")
    assert (await accept(other, sent["id"], sent["token"])).status_code == 200
    async with admin_engine.connect() as connection:
        assert (await connection.execute(MEMBERSHIP_SQL, values)).one() == ("OWNER", "accepted")


async def test_accepted_project_is_the_default_only_without_an_own_one(
    owner: SignedUp, other: SignedUp, project: str
) -> None:
    await add_member(owner.client, f"{project}/members", other, "USER")
    assert await default_project(other) == str(other.project_id)
    assert (await other.client.delete(f"/v1/projects/{other.project_id}")).status_code == 200
    assert await default_project(other) == str(owner.project_id)
    here = {"X-Project-Id": str(owner.project_id)}
    assert (await owner.client.delete(f"{project}/members/{other.account_id}")).status_code == 200
    assert (await other.client.get("/v1/ping/", headers=here)).status_code == 403
    assert await default_project(other) != str(owner.project_id)


async def test_invitation_is_the_way_into_a_closed_server(
    owner: SignedUp, resources: Resources, settings: Settings, database: Database
) -> None:
    """With Supabase, anyone may have an account. On a closed server, it has no project until it is invited."""
    closed = {"signup_mode": SignupMode.CLOSED, "supabase_url": "https://example.supabase.co"}
    provision = provision_by_mode(settings.model_copy(update=closed), database)
    app = create_app(replace(resources, provision_account=provision))
    async with open_client(app) as client:
        body = {"email": new_email(), "password": PASSWORD}
        session = (await client.post("/v1/auth/signup", json=body)).json()
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        refused = await client.get("/v1/projects")
        assert (refused.status_code, "invitation" in refused.json()["detail"]) == (403, True)
        assert (await client.get("/v1/auth/me")).json()["email"] == body["email"]
        sent = await send(owner.client, body["email"])
        assert [each["id"] for each in (await client.get(f"{PATH}/received")).json()["results"]] == [sent["id"]]
        accepted = await client.post(f"{PATH}/{sent['id']}/accept", json={"token": sent["token"]})
        assert accepted.status_code == 200
        assert (await client.get("/v1/ping/")).json()["project_id"] == str(owner.project_id)
        assert (
            await owner.client.delete(f"/v1/projects/{owner.project_id}/members/{session['user']['id']}")
        ).is_success
        assert (await client.get("/v1/ping/")).status_code == 403
        assert (await client.delete("/v1/auth/me")).status_code == 200


async def test_answer_ignores_the_project_that_the_client_names(owner: SignedUp, other: SignedUp, project: str) -> None:
    """A removed member whose client still names the project can be invited again."""
    await add_member(owner.client, f"{project}/members", other)
    other.client.headers["X-Project-Id"] = str(owner.project_id)
    assert (await owner.client.delete(f"{project}/members/{other.account_id}")).status_code == 200
    sent = await send(owner.client, other.email)
    accepted = await other.client.post(f"{PATH}/{sent['id']}/accept", json={"token": sent["token"]})
    assert accepted.status_code == 200
    assert (await other.client.get(project)).status_code == 200


async def test_own_project_is_the_default_even_if_it_is_newer(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other)
    assert (await other.client.delete(f"/v1/projects/{other.project_id}")).status_code == 200
    assert await default_project(other) == str(owner.project_id)
    made = (await other.client.post("/v1/projects", json={"name": "Newer"})).json()
    assert await default_project(other) == made["id"]


async def test_new_project_goes_into_an_own_organization(owner: SignedUp, other: SignedUp, organization: str) -> None:
    """The organization of the owner is older and personal too."""
    await add_member(owner.client, f"{organization}/members", other, "OWNER")
    made = (await other.client.post("/v1/projects", json={"name": "Mine"})).json()
    assert made["organization_id"] not in organization


# ---------------------------------------------------------------- confirmed addresses and e-mails


@dataclass(frozen=True)
class Confirming:
    """An installation that confirms addresses and sends e-mails."""

    app: FastAPI
    provider: Provider

    async def sign_up(self, email: str) -> SignedUp:
        session = await sign_up_confirmed(self.provider, email)
        client = open_client(self.app, session.access_token)
        project = (await client.get("/v1/ping/")).json()["project_id"]
        return SignedUp(client, uuid.UUID(session.user.id), uuid.UUID(project), email, "", {})


@pytest_asyncio.fixture
async def installation(database: Database, resources: Resources, settings: Settings) -> AsyncIterator[Confirming]:
    provider = build_provider(database, autoconfirm=False)
    changed = replace(
        resources,
        identity=GoTrueIdentity(ISSUER, provider.http, publishable_key=SECRET, secret_key=SECRET),
        tokens=Verifier([local_issuer(provider.identity.keys, ISSUER)]),
        mail_invitation=open_invitation_mail(
            settings.model_copy(update={"smtp_host": "mail.example"}), provider.identity
        ),
        cache=TtlCache(),
    )
    yield Confirming(create_app(changed), provider)
    await close_provider(provider)


async def test_confirmed_address_accepts_without_a_token(installation: Confirming) -> None:
    owner, person = await installation.sign_up(new_email()), await installation.sign_up(new_email())
    sent = await send(owner.client, person.email)
    assert sent["token"] is None
    [shown] = await received(person)
    assert (shown["token_required"], shown["name"], shown["invited_by"]) == (False, "My project", owner.email)
    assert (await accept(person, shown["id"], None)).status_code == 200


async def test_unconfirmed_address_needs_the_token_of_the_e_mail(
    installation: Confirming, admin_engine: AsyncEngine
) -> None:
    """Supabase can be set to let accounts sign in before they confirm their address."""
    owner, person = await installation.sign_up(new_email()), await installation.sign_up(new_email())
    await run_as_operator(admin_engine, UNCONFIRM_SQL, id=person.account_id)
    sent = await send(owner.client, person.email)
    mail = await installation.provider.mail()
    assert (mail.to, owner.email in mail.text) == (person.email, False)
    assert (await accept(person, sent["id"], None)).status_code == 403
    token = mail.link.split("invitation_token=")[1]
    assert (await accept(person, sent["id"], token)).status_code == 200


async def test_invitation_is_mailed_to_every_address_but_not_without_end(installation: Confirming) -> None:
    """An address gets few e-mails a day, whoever sends them, and the response does not show it."""
    owner, victim = await installation.sign_up(new_email()), new_email()
    for _ in range(INVITATION_MAILS.amount + 2):
        sent = await send(owner.client, victim)
        assert (await owner.client.delete(f"{PATH}/{sent['id']}")).status_code == 200
    await installation.provider.identity.outbox.drain()
    mails = [each for each in installation.provider.mailbox.mails if each.to == victim]
    assert len(mails) == INVITATION_MAILS.amount


# ---------------------------------------------------------------- limits and removal


async def test_account_sends_a_limited_number_of_invitations(owner: SignedUp) -> None:
    """Refused ones count, so that they cannot be used to try addresses."""
    email = new_email()
    answers = [(await owner.client.post(PATH, json={"email": email})).status_code for _ in range(INVITATIONS.amount)]
    assert set(answers) == {201, 409}
    refused = await owner.client.post(PATH, json={"email": new_email()})
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)


async def test_project_sends_a_limited_number_of_invitations(owner: SignedUp, admin_engine: AsyncEngine) -> None:
    await run_as_operator(admin_engine, FILL_SQL, id=owner.project_id, count=SENT_A_DAY)
    refused = await owner.client.post(PATH, json={"email": new_email()})
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 2 * 3600 - 60 < int(refused.headers["Retry-After"]) <= 2 * 3600


async def count(admin_engine: AsyncEngine, *sent: dict[str, Any]) -> int:
    async with admin_engine.connect() as connection:
        ids = [uuid.UUID(each["id"]) for each in sent]
        return int(await connection.scalar(COUNT_SQL, {"ids": ids}) or 0)


async def test_invitations_are_deleted_with_their_project_and_their_accounts(
    owner: SignedUp, other: SignedUp, project: str, sign_up: SignUp, admin_engine: AsyncEngine
) -> None:
    sender, ended = await sign_up(), await sign_up()
    to_other, by_sender = await send(owner.client, other.email), await send(sender.client, new_email())
    accepted = await send(owner.client, ended.email)
    assert (await accept(ended, accepted["id"], accepted["token"])).status_code == 200
    left = await send(owner.client, new_email())
    assert await count(admin_engine, to_other, by_sender, accepted, left) == 4
    for person in (other, sender, ended):
        assert (await person.client.delete("/v1/auth/me")).status_code == 200
    assert await count(admin_engine, to_other, by_sender, accepted) == 0
    assert (await owner.client.delete(project)).status_code == 200
    assert await count(admin_engine, left) == 0


async def test_ended_invitations_are_deleted_after_30_days(
    owner: SignedUp, admin_engine: AsyncEngine, database: Database
) -> None:
    old, new = await send(owner.client, new_email()), await send(owner.client, new_email())
    longer_ago = text("update invitations set expires_at = now() - interval '31 days' where id = :id")
    await run_as_operator(admin_engine, longer_ago, id=uuid.UUID(old["id"]))
    async with database.system() as tx:
        await tx.execute(DELETE_OLD_INVITATIONS_SQL)
    assert (await count(admin_engine, old), await count(admin_engine, new)) == (0, 1)
