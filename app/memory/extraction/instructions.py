"""The instructions for an extractor: those of the call before those of the project, separately for each speaker."""

from collections.abc import Mapping

from app.memory.ledger import CallInstructions
from app.memory.origin import Origin

KEEP_LANGUAGE = "Write each memory in the language in which it was said, whatever language that is."


def resolve_instructions(call: CallInstructions, settings: Mapping[str, object], origin: Origin) -> str | None:
    """Users follow `custom_instructions`. An agent follows its own; without a user it falls back to those."""
    own = _first(call.own, settings.get("custom_instructions"))
    agents = _first(call.agents, settings.get("agent_custom_instructions")) if origin.agent_id else ""
    if origin.agent_id and origin.user_id is None:
        own, agents = agents or own, ""
    parts = [
        f"For what the user says: {own}" if own and agents else own,
        f"For what the assistant says: {agents}" if agents else "",
        KEEP_LANGUAGE if settings.get("multilingual") else "",
        f"Remember only: {call.includes}" if call.includes else "",
        f"Do not remember: {call.excludes}" if call.excludes else "",
    ]
    return "\n".join(part for part in parts if part) or None


def has_wishes(call: CallInstructions, settings: Mapping[str, object], origin: Origin) -> bool:
    """Whether the call or the project says what to remember, besides `excludes` and the language."""
    resolved = resolve_instructions(
        call.model_copy(update={"excludes": None}), {**settings, "multilingual": False}, origin
    )
    return resolved is not None


def _first(call: str | None, project: object) -> str:
    return call if call is not None else str(project or "")
