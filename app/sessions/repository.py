import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.engine import RowMapping

from app.core.errors import Conflict
from app.core.repository import Repository
from app.sessions.models import Message, Session

TITLE_LENGTH = 80
TAKE_TURN = text("""
update sessions set turn_id = :turn, turn_until = now() + make_interval(secs => :seconds)
where project_id = :project_id and id = :id and (turn_id is null or turn_until < now()) returning id
""")
END_TURN = text("""
update sessions set turn_id = null, turn_until = null
where project_id = :project_id and id = :id and turn_id = :turn
""")
COUNTS = text("""
select count(*) as messages, coalesce(sum(prompt_tokens), 0) as prompt_tokens,
  coalesce(sum(completion_tokens), 0) as completion_tokens, min(created_at) as first_message_at,
  max(created_at) as last_message_at, count(*) filter (where role = 'user') as by_user,
  count(*) filter (where role = 'assistant') as by_assistant
from messages where project_id = :project_id and session_id = :id
""")


class SessionRepository(Repository[Session]):
    model = Session
    noun = "session"

    async def take_turn(self, session_id: UUID, turn: UUID, seconds: float) -> None:
        """From here on other turns in this session are refused, until this one ends or its time runs out."""
        values = {"project_id": self.project_id, "id": session_id, "turn": turn, "seconds": seconds}
        if (await self.tx.execute(TAKE_TURN, values)).first() is None:
            raise Conflict(
                "This session is still answering another message: wait for that answer, then send this one again",
                code="turn_in_progress",
                headers={"Retry-After": "1"},
            )

    async def end_turn(self, session_id: UUID, turn: UUID) -> None:
        await self.tx.execute(END_TURN, {"project_id": self.project_id, "id": session_id, "turn": turn})

    async def counts(self, session_id: UUID) -> RowMapping:
        answer = await self.tx.execute(COUNTS, {"project_id": self.project_id, "id": session_id})
        return answer.mappings().one()


class MessageRepository(Repository[Message]):
    model = Message
    noun = "message"

    async def say(self, session: Session, role: str, content: str, **values: Any) -> Message:
        message = await self.add(
            user_id=session.user_id,
            session_id=session.id,
            role=role,
            content=content,
            privacy_mode=session.privacy_mode,
            # Not the database's now(): two messages of one transaction would have the same place.
            created_at=dt.datetime.now(dt.UTC),
            **values,
        )
        session.last_message_at = message.created_at
        if session.title is None and role == "user":
            session.title = title_of(content)
        await self.flush()
        return message

    async def last(self, session_id: UUID, limit: int, after: int | None = None) -> list[Message]:
        """The newest ones, oldest first; `after` leaves out what a summary covers."""
        query = self.rows.where(Message.session_id == session_id).order_by(Message.position.desc()).limit(limit)
        if after is not None:
            query = query.where(Message.position > after)
        return list(await self.tx.scalars(query))[::-1]

    async def count_after(self, session_id: UUID, after: int | None) -> int:
        query = select(func.count()).select_from(Message).where(*self.mine(), Message.session_id == session_id)
        if after is not None:
            query = query.where(Message.position > after)
        return await self.tx.scalar(query) or 0

    async def clear(self, session_id: UUID) -> int:
        gone = await self.tx.execute(
            delete(Message).where(*self.mine(), Message.session_id == session_id).returning(Message.id)
        )
        return len(gone.all())


def title_of(content: str) -> str:
    """The first line of what was said first, cut at a word."""
    line = content.strip().splitlines()[0].strip() if content.strip() else ""
    if len(line) <= TITLE_LENGTH:
        return line
    return line[: TITLE_LENGTH - 1].rsplit(" ", 1)[0] + "…"
