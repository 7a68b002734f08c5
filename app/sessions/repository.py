import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from app.core.database.content import Content
from app.core.database.repository import Repository
from app.core.errors import Conflict, NotFound
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode

TITLE_LENGTH = 80
DELETE_SESSION_EXTRACTIONS_SQL = text("""
delete from events where project_id = :project_id and session_id = :id
  and (status in ('PENDING', 'RUNNING') or messages is not null)
""")
END_TURN_SQL = text("""
update sessions set turn_id = null, turn_until = null
where project_id = :project_id and id = :id and turn_id = :turn
""")
COUNT_MESSAGES_SQL = text("""
select count(*) as messages, coalesce(sum(prompt_tokens), 0) as prompt_tokens,
  coalesce(sum(completion_tokens), 0) as completion_tokens, min(created_at) as first_message_at,
  max(created_at) as last_message_at, count(*) filter (where role = 'user') as by_user,
  count(*) filter (where role = 'assistant') as by_assistant
from messages where project_id = :project_id and session_id = :id
""")


class SessionRepository(Repository[Session]):
    model = Session
    noun = "session"

    async def open(self, session_id: UUID, **values: object) -> Session:
        """The session with this id, created if it does not exist, even when another request creates it concurrently."""
        content = {
            name: Content(value, self.project_id, session_id)
            for name, value in values.items()
            if name in Session.content_columns and isinstance(value, str)
        }
        fresh = insert(Session).values(id=session_id, project_id=self.project_id, **{**values, **content})
        await self.tx.execute(fresh.on_conflict_do_nothing(index_elements=[Session.id]))
        return await self.get(session_id)

    async def lock_for_turn(self, session_id: UUID, turn: UUID) -> Session:
        """Locked until the transaction ends, if the session still belongs to this turn."""
        session: Session | None = await self.tx.scalar(self.rows.where(Session.id == session_id).with_for_update())
        if session is None:
            raise NotFound(f"There is no session {session_id}")
        if session.turn_id != turn:
            raise Conflict(
                "This session was reset during the answer, so nothing of this turn was stored.", code="turn_lost"
            )
        return session

    async def stop_extraction(self, session_id: UUID) -> None:
        await self.tx.execute(DELETE_SESSION_EXTRACTIONS_SQL, {"project_id": self.project_id, "id": session_id})

    async def end_turn(self, session_id: UUID, turn: UUID) -> None:
        await self.tx.execute(END_TURN_SQL, {"project_id": self.project_id, "id": session_id, "turn": turn})

    async def counts(self, session_id: UUID) -> RowMapping:
        answer = await self.tx.execute(COUNT_MESSAGES_SQL, {"project_id": self.project_id, "id": session_id})
        return answer.mappings().one()


class MessageRepository(Repository[Message]):
    model = Message
    noun = "message"

    async def append(self, session: Session, role: str, content: str, *, mode: PrivacyMode, **values: Any) -> Message:
        """`mode` is the mode in which the message was sent; the session may have changed its mode since."""
        message = await self.add(
            user_id=session.user_id,
            session_id=session.id,
            role=role,
            content=content,
            privacy_mode=mode,
            # Not the database's now(): two messages of one transaction would have the same time.
            created_at=dt.datetime.now(dt.UTC),
            **values,
        )
        session.last_message_at = message.created_at
        if session.title is None and role == "user":
            session.title = title_of(content)
        await self.flush()
        return message

    async def load_latest(self, session_id: UUID, limit: int) -> list[Message]:
        """The newest messages, oldest first."""
        query = self.rows.where(Message.session_id == session_id).order_by(Message.position.desc()).limit(limit)
        return list(await self.tx.scalars(query))[::-1]

    async def load_after(self, session_id: UUID, position: int, limit: int) -> list[Message]:
        """The first messages after a position, oldest first."""
        query = self.rows.where(Message.session_id == session_id, Message.position > position)
        return list(await self.tx.scalars(query.order_by(Message.position).limit(limit)))

    async def count_after(self, session_id: UUID, position: int) -> int:
        query = select(func.count()).select_from(Message).where(*self.mine(), Message.session_id == session_id)
        return await self.tx.scalar(query.where(Message.position > position)) or 0

    async def clear(self, session_id: UUID) -> int:
        deleted = await self.tx.execute(
            delete(Message).where(*self.mine(), Message.session_id == session_id).returning(Message.id)
        )
        return len(deleted.all())


def title_of(content: str) -> str:
    """The first line of the message, cut at a word."""
    line = content.strip().splitlines()[0].strip() if content.strip() else ""
    if len(line) <= TITLE_LENGTH:
        return line
    return line[: TITLE_LENGTH - 1].rsplit(" ", 1)[0] + "…"
