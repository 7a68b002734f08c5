"""/api/v1/webhooks/…: signed notifications about changes of memories, with a log of deliveries."""

from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.pagination import Cursor, Limit
from app.core.errors import BadRequest, NotFound
from app.core.http.schemas import Done
from app.core.network_addresses import may_be_public
from app.core.resources import Resources, ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.webhooks.schemas import (
    DeliveryPage,
    DeliveryRead,
    WebhookCreate,
    WebhookCreated,
    WebhookPatch,
    WebhookRead,
    render_delivery,
    render_webhook,
)
from app.identity.administration import Administrative
from app.identity.caller import Caller, ProjectReader, ProjectWriter, lacks_scopes
from app.identity.scopes import Scope
from app.identity.transaction import Transaction
from app.webhooks.jobs import wake_webhooks
from app.webhooks.models import MEMORY_EVENTS, Webhook, WebhookDelivery
from app.webhooks.repository import DeliveryRepository, WebhookRepository
from app.webhooks.sign import derive_secret

router = APIRouter(prefix="/api/v1/webhooks", tags=["Webhooks"], responses=ERROR_RESPONSES, route_class=Mem0Route)


def webhook_repository(tx: AsyncSession, caller: Caller) -> WebhookRepository:
    """End users of a project cannot see or change its webhooks."""
    if caller.user_id is not None:
        raise NotFound("No webhooks: only members of the project can see them")
    return WebhookRepository(tx, caller.project_id)


def check_project(caller: Caller, project_id: UUID) -> None:
    if project_id != caller.project_id:
        raise NotFound(f"There is no project {project_id}. Use the project of your credential")


def check_receiver_url(resources: Resources, url: str) -> None:
    """Check what the URL itself shows. The address that its host resolves to is checked at each delivery."""
    if resources.config.webhook_allow_private:
        return
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise BadRequest("Webhooks require an https URL, because they carry personal data")
    if not may_be_public(parts.hostname or ""):
        raise BadRequest("Webhooks cannot be sent to the server's own network. Use a public address")


def check_may_receive(caller: Caller, event_types: Sequence[str]) -> None:
    """Without the scope to read memories, a caller must not have them sent to a receiver of its choice."""
    if Scope.MEMORIES_READ not in caller.scopes and not MEMORY_EVENTS.isdisjoint(event_types):
        raise lacks_scopes(caller, Scope.MEMORIES_READ)


def render_with_secret(resources: Resources, row: Webhook) -> WebhookCreated:
    secret = derive_secret(resources.key_pepper, row.id, row.secret_version)
    return WebhookCreated(**render_webhook(row).model_dump(), secret=secret)


@router.get("/projects/{project_id}/")
async def list_webhooks(project_id: UUID, caller: ProjectReader, tx: Transaction) -> list[WebhookRead]:
    """Lists the webhooks of a project."""
    check_project(caller, project_id)
    return [render_webhook(webhook) for webhook in await webhook_repository(tx, caller).all()]


@router.post("/projects/{project_id}/", status_code=201, dependencies=[Administrative])
async def create_webhook(
    project_id: UUID, body: WebhookCreate, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> WebhookCreated:
    """Creates a webhook. The response contains `secret`. It is shown only once. Events of memories also require the
    scope `memories:read`."""
    check_project(caller, project_id)
    check_may_receive(caller, body.event_types)
    check_receiver_url(resources, body.url)
    row = await webhook_repository(tx, caller).create(**body.model_dump())
    return render_with_secret(resources, row)


@router.get("/{webhook_id}/")
async def get_webhook(webhook_id: UUID, caller: ProjectReader, tx: Transaction) -> WebhookRead:
    """Returns one webhook."""
    return render_webhook(await webhook_repository(tx, caller).get(webhook_id))


@router.put("/{webhook_id}/", dependencies=[Administrative])
async def update_webhook(
    webhook_id: UUID, body: WebhookPatch, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> Done:
    """Updates the fields that are sent. A resumed webhook receives the deliveries that were waiting.

    A new URL, other event types and resuming require the scope `memories:read` if the webhook has events of memories.
    """
    sent = body.model_dump(exclude_none=True)
    active = sent.pop("is_active", None)
    if body.url:
        check_receiver_url(resources, body.url)
    webhooks = webhook_repository(tx, caller)
    row = await webhooks.update(webhook_id, **sent, updated_at=func.now())
    if body.url or body.event_types or active:
        check_may_receive(caller, row.event_types)
    before = row.is_active
    if active is False:
        await webhooks.pause(webhook_id)
    if active and not before:
        await webhooks.resume(webhook_id)
        await DeliveryRepository(tx, caller.project_id).make_due(webhook_id)
        await wake_webhooks(tx, caller.project_id)
    return Done(message="Webhook updated successfully")


@router.delete("/{webhook_id}/", dependencies=[Administrative])
async def delete_webhook(webhook_id: UUID, caller: ProjectWriter, tx: Transaction) -> Done:
    """Deletes a webhook, its log and its waiting deliveries."""
    await webhook_repository(tx, caller).delete(webhook_id)
    return Done(message="Webhook deleted successfully")


@router.post("/{webhook_id}/secret/", dependencies=[Administrative])
async def rotate_webhook_secret(
    webhook_id: UUID, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> WebhookCreated:
    """Creates a new secret. For a day, deliveries are signed with the old one as well."""
    return render_with_secret(resources, await webhook_repository(tx, caller).rotate(webhook_id))


@router.get("/{webhook_id}/deliveries/")
async def list_webhook_deliveries(
    webhook_id: UUID, caller: ProjectReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> DeliveryPage:
    """Lists the deliveries of the last month, newest first."""
    await webhook_repository(tx, caller).get(webhook_id)
    of_webhook = WebhookDelivery.webhook_id == webhook_id
    page = await DeliveryRepository(tx, caller.project_id).page(limit, cursor, of_webhook)
    return DeliveryPage(results=[render_delivery(delivery) for delivery in page.results], next=page.next)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver/", dependencies=[Administrative])
async def redeliver_webhook(
    webhook_id: UUID, delivery_id: UUID, caller: ProjectWriter, tx: Transaction
) -> DeliveryRead:
    """Sends a delivery again now, regardless of its status."""
    await webhook_repository(tx, caller).get(webhook_id)
    deliveries = DeliveryRepository(tx, caller.project_id)
    delivery = await deliveries.get(delivery_id)
    if delivery.webhook_id != webhook_id:
        raise NotFound(f"There is no delivery {delivery_id}")
    await deliveries.restart(delivery)
    await wake_webhooks(tx, caller.project_id)
    return render_delivery(delivery)
