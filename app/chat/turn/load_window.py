"""What was said lately in a session: from short-term memory, or from the transcript where that knows better."""

from app.chat.types import Turn
from app.core.resources import Resources
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository
from app.sessions.window import WindowMessage, windows_of

LOADED_MESSAGES = 60


async def load_window(resources: Resources, turn: Turn, *, after: int, last: int) -> list[WindowMessage]:
    """What was said after the summary; `last` is where the transcript ends. Outside incognito, what was said in it is
    gone."""
    windows = windows_of(resources)
    recent = await windows.recent(turn.session_id)
    if recent is None or (recent[-1].position if recent else 0) != last:
        recent = await _read_transcript(resources, turn)
        await windows.keep_recent(turn.session_id, recent, active=False)
    recent = [message for message in recent if message.position > after]
    if turn.mode is PrivacyMode.INCOGNITO:
        return recent + await windows.incognito(turn.session_id)
    await windows.forget_incognito(turn.session_id)
    return recent


async def _read_transcript(resources: Resources, turn: Turn) -> list[WindowMessage]:
    async with resources.database.transaction(turn.project_id, turn.user_id) as tx:
        messages = MessageRepository(tx, turn.project_id, turn.user_id)
        return [WindowMessage.of(message) for message in await messages.last(turn.session_id, LOADED_MESSAGES)]
