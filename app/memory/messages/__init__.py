"""The conversation store: messages that applications send, kept in the ledger and found by meaning, words and age."""

from app.memory.messages.message import MessageDraft, repeatable_id
from app.memory.messages.store import store_messages

__all__ = ["MessageDraft", "repeatable_id", "store_messages"]
