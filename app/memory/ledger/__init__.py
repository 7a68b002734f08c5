"""The ledger: memories, their history, and the events that changed them."""

from app.memory.ledger.add import (
    Outcome,
    Remembered,
    RememberResult,
    add_each_statement,
    add_statements,
    count_added,
    read_outcome,
)
from app.memory.ledger.event_retention import delete_old_events
from app.memory.ledger.events import (
    CallInstructions,
    EventRepository,
    EventRequest,
    HistoryRepository,
    event_statement,
    record_event,
)
from app.memory.ledger.feedback import FeedbackRepository
from app.memory.ledger.memory import (
    ATTRIBUTES,
    DOCUMENT_PATH,
    FIELDS,
    WRITTEN_FIELDS,
    Door,
    Json,
    Kind,
    Memory,
    NewMemory,
    SearchRow,
    Source,
    content_hash,
    document_path,
    is_memory,
    source_of,
    visible,
)
from app.memory.ledger.models import MemoryEvent, MemoryHistory
from app.memory.ledger.repeats import Repeat, repeats_statement
from app.memory.ledger.repository import DeletedMemories, LedgerRepository, MemoryRepository, access_count_statements
from app.memory.ledger.row_locks import lock_chains, lock_chains_of_namespace, lock_linked

__all__ = [
    "ATTRIBUTES",
    "DOCUMENT_PATH",
    "FIELDS",
    "WRITTEN_FIELDS",
    "CallInstructions",
    "DeletedMemories",
    "Door",
    "EventRepository",
    "EventRequest",
    "FeedbackRepository",
    "HistoryRepository",
    "Json",
    "Kind",
    "LedgerRepository",
    "Memory",
    "MemoryEvent",
    "MemoryHistory",
    "MemoryRepository",
    "NewMemory",
    "Outcome",
    "RememberResult",
    "Remembered",
    "Repeat",
    "SearchRow",
    "Source",
    "access_count_statements",
    "add_each_statement",
    "add_statements",
    "content_hash",
    "count_added",
    "delete_old_events",
    "document_path",
    "event_statement",
    "is_memory",
    "lock_chains",
    "lock_chains_of_namespace",
    "lock_linked",
    "read_outcome",
    "record_event",
    "repeats_statement",
    "source_of",
    "visible",
]
