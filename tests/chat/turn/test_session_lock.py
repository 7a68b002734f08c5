"""A session answers one message at a time."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from app.chat.turn.session_lock import TurnKey, acquire_session
from app.core.database.database import Statement
from app.core.errors import Conflict
from app.core.resources import Resources
from tests.chat.conftest import StartConversation
from tests.chat.conversation import AdminRows


async def test_session_that_is_released_just_after_a_refusal_can_be_tried_at_once(
    conversation: StartConversation, chat_resources: Resources, admin_rows: AdminRows
) -> None:
    session = await conversation()

    async def change(values: str) -> None:
        async with admin_rows.admin.begin() as connection:
            await connection.exec_driver_sql(f"update sessions set {values} where id = '{session.session_id}'")

    async def release_in_between(*statements: Statement) -> Sequence[Any]:
        database, project_id = chat_resources.database, session.project_id
        await database.pipeline(project_id, session.user_id, *statements[:-1])
        await change("turn_id = null, turn_until = null")
        return await database.pipeline(project_id, session.user_id, statements[-1])

    await change("turn_id = gen_random_uuid(), turn_until = now() + interval '1 minute'")
    key = TurnKey(uuid.uuid4(), session.project_id, uuid.UUID(session.session_id), None, None, b"")
    with pytest.raises(Conflict) as refused:
        await acquire_session(release_in_between, key, None, set())
    assert refused.value.headers == {"Retry-After": "1"}
