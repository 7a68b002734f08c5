"""/api/v1/webhooks/…: whom a project tells of what happens to its memories, signed, and with a log of every telling."""

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
from app.identity.caller import Caller, ProjectReader, ProjectWriter
from app.identity.transaction import Transaction
from app.webhooks.deliver import queue_delivery, redeliver
from app.webhooks.models import Webhook, WebhookDelivery
from app.webhooks.repository import DeliveryRepository, WebhookRepository
from app.webhooks.sign import derive_secret

router = APIRouter(prefix="/api/v1/webhooks", tags=["mem0: webhooks"], responses=ERROR_RESPONSES, route_class=Mem0Route)


def webhook_repository(tx: AsyncSession, caller: Caller) -> WebhookRepository:
    """How a project is run is nothing for its end users."""
    if caller.user_id is not None:
        raise NotFound("There are no webhooks here: they belong to whoever runs this project")
    return WebhookRepository(tx, caller.project_id)


def check_project(caller: Caller, project_id: UUID) -> None:
    if project_id != caller.project_id:
        raise NotFound(f"There is no project {project_id} here: name the one your credential works in")


def check_receiver_url(resources: Resources, url: str) -> None:
    """The early word on what can be seen without asking anybody. What a name leads to is checked at each delivery."""
    if resources.values.webhook_allow_private:
        return
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise BadRequest("Webhooks are sent over https: they carry what people said")
    if not may_be_public(parts.hostname or ""):
        raise BadRequest("Webhooks are not sent into the server's own network: name a public address")


def render_with_secret(resources: Resources, row: Webhook) -> WebhookCreated:
    secret = derive_secret(resources.key_pepper, row.id, row.secret_version)
    return WebhookCreated(**render_webhook(row).model_dump(), secret=secret)


@router.get("/projects/{project_id}/")
async def list_webhooks(project_id: UUID, caller: ProjectReader, tx: Transaction) -> list[WebhookRead]:
    check_project(caller, project_id)
    return [render_webhook(each) for each in await webhook_repository(tx, caller).all()]


@router.post("/projects/{project_id}/", status_code=201)
async def create_webhook(
    project_id: UUID, body: WebhookCreate, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> WebhookCreated:
    """`secret` is in this answer and never again."""
    check_project(caller, project_id)
    check_receiver_url(resources, body.url)
    row = await webhook_repository(tx, caller).add(**body.model_dump())
    return render_with_secret(resources, row)


@router.get("/{webhook_id}/")
async def get_webhook(webhook_id: UUID, caller: ProjectReader, tx: Transaction) -> WebhookRead:
    return render_webhook(await webhook_repository(tx, caller).get(webhook_id))


@router.put("/{webhook_id}/")
async def update_webhook(
    webhook_id: UUID, body: WebhookPatch, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> Done:
    """What is not sent stays. Started again, it gets what was still waiting."""
    sent = body.model_dump(exclude_none=True)
    active = sent.pop("is_active", None)
    if body.url:
        check_receiver_url(resources, body.url)
    webhooks = webhook_repository(tx, caller)
    before = (await webhooks.update(webhook_id, **sent, updated_at=func.now())).is_active
    if active is False:
        await webhooks.pause(webhook_id)
    if active and not before:
        await webhooks.resume(webhook_id)
        for delivery in await DeliveryRepository(tx, caller.project_id).pending(webhook_id):
            await queue_delivery(tx, delivery)
    return Done(message="Webhook updated successfully")


@router.delete("/{webhook_id}/")
async def delete_webhook(webhook_id: UUID, caller: ProjectWriter, tx: Transaction) -> Done:
    """With its log. What was still to be delivered is not."""
    await webhook_repository(tx, caller).delete(webhook_id)
    return Done(message="Webhook deleted successfully")


@router.post("/{webhook_id}/secret/")
async def rotate_secret(
    webhook_id: UUID, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> WebhookCreated:
    """A new secret. For a day every delivery carries a signature by the old one too."""
    return render_with_secret(resources, await webhook_repository(tx, caller).rotate(webhook_id))


@router.get("/{webhook_id}/deliveries/")
async def list_deliveries(
    webhook_id: UUID, caller: ProjectReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> DeliveryPage:
    """Newest first, for a month back."""
    await webhook_repository(tx, caller).get(webhook_id)
    mine = WebhookDelivery.webhook_id == webhook_id
    page = await DeliveryRepository(tx, caller.project_id).page(limit, cursor, mine)
    return DeliveryPage(results=[render_delivery(each) for each in page.results], next=page.next)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver/")
async def redeliver_delivery(webhook_id: UUID, delivery_id: UUID, caller: ProjectWriter, tx: Transaction) -> DeliveryRead:
    """Once more, at once, whatever became of it before."""
    await webhook_repository(tx, caller).get(webhook_id)
    deliveries = DeliveryRepository(tx, caller.project_id)
    delivery = await deliveries.get(delivery_id)
    if delivery.webhook_id != webhook_id:
        raise NotFound(f"There is no delivery {delivery_id}")
    await redeliver(tx, delivery)
    return render_delivery(delivery)
