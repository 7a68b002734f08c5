"""Conversations as ChatGPT and Claude export them (`conversations.json`), as sessions with messages.

The ids are derived from those of the export and from the user, so that a second import finds the rows of the first, and
two users of a project can import the same file.
"""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.storable_text import clean_text, is_blank
from app.portability.lines import MessageLine, SessionLine

CHAT_ID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "keepsake:foreign-chat")
MAX_TITLE = 500
CHATGPT_ROLES = {"user": "user", "assistant": "assistant"}
CLAUDE_ROLES = {"human": "user", "user": "user", "assistant": "assistant"}
READ_CONTENT = ("text", "multimodal_text")
"""The kinds of content of ChatGPT that a person sees as the text of a message."""
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatMessageRead:
    """One message of a chat, before it has a session."""

    key: str
    role: str
    content: str
    created_at: dt.datetime | None


def is_chat(value: Json) -> bool:
    return isinstance(value.get("mapping"), Mapping) or isinstance(value.get("chat_messages"), list)


def read_chat(value: Json, user_id: str) -> tuple[SessionLine, list[MessageLine]]:
    """Raises ValueError for a conversation without an id."""
    is_chatgpt = isinstance(value.get("mapping"), Mapping)
    key = value.get("conversation_id") or value.get("id") or value.get("uuid")
    if not isinstance(key, str):
        raise ValueError("has no id")
    messages = list(_read_chatgpt(value) if is_chatgpt else _read_claude(value))
    started = _moment(value.get("create_time", value.get("created_at"))) or _first_moment(messages)
    ended = _moment(value.get("update_time", value.get("updated_at"))) or started
    title = value.get("title") or value.get("name")
    session_id = _derive(user_id, key)
    session = SessionLine(
        id=session_id,
        user_id=user_id,
        title=clean_text(title)[:MAX_TITLE] if isinstance(title, str) and not is_blank(title) else None,
        created_at=started,
        updated_at=ended,
        last_message_at=max((each.created_at for each in messages if each.created_at), default=None),
    )
    return session, [_as_line(each, session_id, user_id, started) for each in messages]


def _as_line(message: ChatMessageRead, session_id: UUID, user_id: str, started: dt.datetime) -> MessageLine:
    return MessageLine.model_validate(
        {
            "id": _derive(user_id, f"{session_id}:{message.key}"),
            "session_id": session_id,
            "role": message.role,
            "content": message.content,
            "created_at": message.created_at or started,
        }
    )


def _read_chatgpt(value: Json) -> Iterator[ChatMessageRead]:
    for key, node in _thread(value["mapping"], value.get("current_node")):
        message = node.get("message")
        if not isinstance(message, Mapping) or _is_hidden(message):
            continue
        role = CHATGPT_ROLES.get(str((message.get("author") or {}).get("role")))
        text = clean_text(_chatgpt_text(message.get("content")))
        if role and not is_blank(text):
            yield ChatMessageRead(key, role, text, _moment(message.get("create_time")))


def _thread(nodes: Json, last: object) -> list[tuple[str, Json]]:
    """The messages are a tree, because edited and regenerated ones branch off. The thread that was shown last ends at
    `current_node`, or else at the newest leaf."""
    key = last if isinstance(last, str) and last in nodes else _newest_leaf(nodes)
    found: dict[str, Json] = {}
    while isinstance(key, str) and key in nodes and key not in found and isinstance(nodes[key], Mapping):
        found[key] = nodes[key]
        key = nodes[key].get("parent")
    return list(found.items())[::-1]


def _newest_leaf(nodes: Json) -> str | None:
    leaves = [key for key, node in nodes.items() if isinstance(node, Mapping) and not node.get("children")]
    return max(leaves, key=lambda key: _seconds(nodes[key]), default=None)


def _seconds(node: Json) -> float:
    message = node.get("message")
    moment = message.get("create_time") if isinstance(message, Mapping) else None
    return float(moment) if isinstance(moment, int | float) else 0.0


def _is_hidden(message: Json) -> bool:
    """Instructions of ChatGPT itself, and what it sends to tools."""
    metadata = message.get("metadata") or {}
    hidden = isinstance(metadata, Mapping) and metadata.get("is_visually_hidden_from_conversation")
    return bool(hidden) or message.get("weight") == 0 or message.get("recipient", "all") not in ("all", None)


def _chatgpt_text(content: object) -> str:
    if not isinstance(content, Mapping) or content.get("content_type") not in READ_CONTENT:
        return ""
    parts = content.get("parts")
    return "\n".join(filter(None, map(_part_text, parts if isinstance(parts, list) else [])))


def _part_text(part: object) -> str:
    """A text, or the transcription of speech. Images and files have no text."""
    if isinstance(part, Mapping):
        part = part.get("text") if part.get("content_type") == "audio_transcription" else None
    return part if isinstance(part, str) else ""


def _read_claude(value: Json) -> Iterator[ChatMessageRead]:
    for place, message in enumerate(value["chat_messages"]):
        if not isinstance(message, Mapping):
            continue
        role = CLAUDE_ROLES.get(str(message.get("sender")))
        text = clean_text(_claude_text(message))
        if role and not is_blank(text):
            yield ChatMessageRead(str(message.get("uuid") or place), role, text, _moment(message.get("created_at")))


def _claude_text(message: Json) -> str:
    text = message.get("text")
    if isinstance(text, str) and not is_blank(text):
        return text
    blocks = message.get("content")
    texts = (
        [block.get("text") for block in blocks if isinstance(block, Mapping) and block.get("type") == "text"]
        if isinstance(blocks, list)
        else []
    )
    return "\n".join(each for each in texts if isinstance(each, str))


def _moment(value: object) -> dt.datetime | None:
    """Seconds since 1970, or a time in ISO 8601."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return dt.datetime.fromtimestamp(value, dt.UTC)
        read = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return read.astimezone(dt.UTC) if read and read.tzinfo else read and read.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _first_moment(messages: Sequence[ChatMessageRead]) -> dt.datetime:
    """A conversation without any time has a fixed one, so that a second import does not differ."""
    return min((each.created_at for each in messages if each.created_at), default=dt.datetime.fromtimestamp(0, dt.UTC))


def _derive(user_id: str, key: str) -> UUID:
    return uuid.uuid5(CHAT_ID_NAMESPACE, f"{len(user_id)}:{user_id}:{key}")
