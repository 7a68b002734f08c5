"""The conversation store: messages that applications send, kept in the ledger and found by meaning, words and age."""

from app.memory.messages.message import MessageDraft, StoredMessage
from app.memory.messages.ranking import ScoreParts, ScoreWeights
from app.memory.messages.repository import (
    MessageFilter,
    archive_message,
    delete_messages,
    list_messages,
    load_message,
    restore_message,
)
from app.memory.messages.search import FoundMessage, MessageSearch, search_messages
from app.memory.messages.store import store_messages, store_once

__all__ = [
    "FoundMessage",
    "MessageDraft",
    "MessageFilter",
    "MessageSearch",
    "ScoreParts",
    "ScoreWeights",
    "StoredMessage",
    "archive_message",
    "delete_messages",
    "list_messages",
    "load_message",
    "restore_message",
    "search_messages",
    "store_messages",
    "store_once",
]
