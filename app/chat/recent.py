"""What was said lately in a session: from short-term memory, or from the transcript where that knows better."""

from app.core.resources import Resources
from app.sessions.models import Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository
from app.sessions.window import WindowMessage, windows_of

LOADED_MESSAGES = 60


async def load_window(resources: Resources, session: Session, mode: PrivacyMode, last: int) -> list[WindowMessage]:
    """`last` is where the transcript ends. Outside incognito, what was said in it is gone."""
    windows = windows_of(resources)
    recent = await windows.recent(session.id)
    if recent is None or (recent[-1].position if recent else 0) != last:
        recent = await _read_transcript(resources, session)
        await windows.keep_recent(session.id, recent, active=False)
    recent = [message for message in recent if message.position > (session.summary_through or 0)]
    if mode is PrivacyMode.INCOGNITO:
        return recent + await windows.incognito(session.id)
    await windows.forget_incognito(session.id)
    return recent


async def _read_transcript(resources: Resources, session: Session) -> list[WindowMessage]:
    async with resources.database.transaction(session.project_id, session.user_id) as tx:
        messages = MessageRepository(tx, session.project_id, session.user_id)
        return [WindowMessage.of(message) for message in await messages.last(session.id, LOADED_MESSAGES)]
