from typing import Any
from uuid import UUID

from app.core.resources import Resources
from app.memory.namespace import Namespace
from app.memory.remember import Conversation, queue_extraction


async def queue_messages(resources: Resources, namespace: Namespace, *words: str, **values: Any) -> UUID:
    messages = [{"role": "user", "content": each} for each in words]
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        return await queue_extraction(tx, namespace, Conversation(messages, **values))
