"""/v1/invitations: invite people to a project or an organization, and accept or decline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Query

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.errors import BadRequest
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import Resources, ResourcesDep
from app.identity.administration import Administrative
from app.identity.caller import Caller, SignedInAccount
from app.identity.transaction import SystemTransaction
from app.projects.invitations.accept import ReceivedInvitations, load_invited_account
from app.projects.invitations.repository import InvitationRepository, InvitationTarget, SentInvitation, find_target
from app.projects.invitations.schemas import (
    InvitationAccepted,
    InvitationAnswer,
    InvitationCreate,
    InvitationCreated,
    InvitationRead,
    InvitationStatus,
    ReceivedInvitation,
)
from app.projects.permissions import MemberWriter
from app.projects.repository import ProjectRow

log = structlog.get_logger()
invitations = own_router(prefix="/v1/invitations", tags=["Invitations"])
OrganizationQuery = Annotated[UUID | None, Query(description="List the invitations to this organization.")]
ProjectQuery = Annotated[
    UUID | None, Query(description="List the invitations to this project. Defaults to your current project.")
]
StatusQuery = Annotated[InvitationStatus | None, Query(description="List only invitations with this status.")]


async def send_invitation(
    resources: Resources, caller: Caller, target: InvitationTarget, email: str, role: str
) -> InvitationCreated:
    """The e-mail is sent after the commit, in the background and to every address alike."""
    await resources.limits.admit_invitation(str(caller.creator or caller.key_id))
    async with resources.database.system() as tx:
        sent = await InvitationRepository(tx, caller, target).add(email, role)
    log.info("invitation.sent", invitation=str(sent.row.id), by=caller.name)
    if resources.mail_invitation and await resources.limits.may_mail_invitation(sent.row.email):
        resources.mail_invitation(sent.row.email, sent.row.id, sent.token)
    return render_sent(sent, mailed=resources.mail_invitation is not None)


@asynccontextmanager
async def open_received(resources: Resources, account_id: UUID) -> AsyncIterator[ReceivedInvitations]:
    """The identity provider is asked before the transaction opens, because it can be another server."""
    confirms = await resources.cache.get_or_load("confirms_addresses", resources.identity.confirms_addresses)
    async with resources.database.system() as tx:
        yield ReceivedInvitations(tx, await load_invited_account(tx, account_id, confirms_addresses=confirms))


def render_sent(sent: SentInvitation, *, mailed: bool) -> InvitationCreated:
    shown = InvitationRead.model_validate(sent.row)
    return InvitationCreated(**shown.model_dump(), token=None if mailed else sent.token)


@invitations.post("", status_code=201, dependencies=[Administrative])
async def create_invitation(body: InvitationCreate, caller: MemberWriter, resources: ResourcesDep) -> InvitationCreated:
    """Invites a person by e-mail address. The response does not reveal whether the address has an account.

    The invitation can be accepted for seven days. The person becomes a member when they accept.
    """
    project = None if body.organization_id else body.project_id or caller.project_id
    return await send_invitation(
        resources, caller, InvitationTarget(project, body.organization_id), body.email, body.role
    )


@invitations.get("", response_model=Page[InvitationRead])
async def list_invitations(
    caller: MemberWriter,
    tx: SystemTransaction,
    organization_id: OrganizationQuery = None,
    project_id: ProjectQuery = None,
    status: StatusQuery = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageRows[ProjectRow]:
    """Lists the invitations to a project or an organization, for its owners. Ended ones stay for 30 days."""
    if organization_id and project_id:
        raise BadRequest("Name either `organization_id` or `project_id`.")
    project = None if organization_id else project_id or caller.project_id
    return await InvitationRepository(tx, caller, InvitationTarget(project, organization_id)).page(
        limit, cursor, status
    )


@invitations.get("/received", response_model=Page[ReceivedInvitation])
async def list_received_invitations(
    account: SignedInAccount, resources: ResourcesDep, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[ProjectRow]:
    """Lists the pending invitations to your own e-mail address."""
    async with open_received(resources, account.subject) as received:
        return await received.page(limit, cursor)


@invitations.delete("/{invitation_id}", dependencies=[Administrative])
async def withdraw_invitation(invitation_id: UUID, caller: MemberWriter, tx: SystemTransaction) -> Done:
    """Withdraws a pending invitation. It can no longer be accepted."""
    target = await find_target(tx, invitation_id)
    await InvitationRepository(tx, caller, target).withdraw(invitation_id)
    log.info("invitation.withdrawn", invitation=str(invitation_id), by=caller.name)
    return Done(message="Invitation withdrawn")


@invitations.post("/{invitation_id}/accept")
async def accept_invitation(
    invitation_id: UUID, account: SignedInAccount, resources: ResourcesDep, body: InvitationAnswer | None = None
) -> InvitationAccepted:
    """Accepts an invitation to your own e-mail address. You become a member at once.

    It becomes your default project only if you have none of your own. Otherwise, select it with `X-Project-Id`.
    """
    # A new account gets its own project first. Otherwise the accepted one would be its default.
    await resources.provision_account(account.subject, account.email)
    async with open_received(resources, account.subject) as received:
        accepted = await received.accept(invitation_id, body.token if body else None)
    log.info("invitation.accepted", invitation=str(invitation_id), account=str(account.subject))
    return InvitationAccepted.model_validate(accepted)


@invitations.post("/{invitation_id}/decline")
async def decline_invitation(
    invitation_id: UUID, account: SignedInAccount, resources: ResourcesDep, body: InvitationAnswer | None = None
) -> Done:
    """Declines an invitation to your own e-mail address. Those who manage members see that it was declined."""
    async with open_received(resources, account.subject) as received:
        await received.decline(invitation_id, body.token if body else None)
    log.info("invitation.declined", invitation=str(invitation_id), account=str(account.subject))
    return Done(message="Invitation declined")
