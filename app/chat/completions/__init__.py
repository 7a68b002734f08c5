"""Completions with memory: turns whose clients write the request to the model and may keep the conversation."""

from app.chat.completions.prepare import CompletionInput, prepare_completion
from app.chat.completions.stream import Events, begin_stream, collect_events
from app.chat.completions.turn import CompletionTurn
from app.chat.turn.stream import KEEP_ALIVE, EventStream

__all__ = [
    "KEEP_ALIVE",
    "CompletionInput",
    "CompletionTurn",
    "EventStream",
    "Events",
    "begin_stream",
    "collect_events",
    "prepare_completion",
]
