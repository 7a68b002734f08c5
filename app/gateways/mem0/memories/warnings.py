"""What of a request has no effect, and why, so that no client believes that it had one."""

from app.core.text.excluded_words import read_terms
from app.gateways.mem0.memories.message_schemas import TextPart
from app.gateways.mem0.memories.schemas import AddMemories
from app.gateways.mem0.responses import JsonObject

IGNORED = ("structured_data_schema", "prompt_profile_id", "enable_graph")
INSTRUCTIONS = ("custom_instructions", "agent_custom_instructions", "includes")
NO_MODEL = "no language model is configured, so statements are stored word for word."
LITERAL_EXCLUDES = (
    "`excludes` leaves out sentences that contain its words, and nothing else: no language model is configured."
)
UNREAD_EXCLUDES = (
    "`excludes` has no effect: no language model is configured. Without one, it takes words separated by commas."
)


def add_warnings(request: AddMemories, *, has_model: bool) -> JsonObject:
    found = [f"`{name}` has no effect: it is not supported." for name in IGNORED if getattr(request, name)]
    found += _instruction_warnings(request, has_model=has_model)
    if types := _ignored_parts(request):
        found.append(f"`messages` contains parts that are not text ({', '.join(types)}). They were ignored.")
    return {"warnings": found} if found else {}


def _instruction_warnings(request: AddMemories, *, has_model: bool) -> list[str]:
    given = [name for name in INSTRUCTIONS if getattr(request, name)]
    if not request.infer:
        given += ["excludes"] if request.excludes else []
        return [f"`{name}` has no effect: `infer: false` stores every message verbatim." for name in given]
    if has_model:
        return []
    found = [f"`{name}` has no effect: {NO_MODEL}" for name in given]
    if request.excludes:
        found.append(UNREAD_EXCLUDES if read_terms(request.excludes) is None else LITERAL_EXCLUDES)
    return found


def _ignored_parts(request: AddMemories) -> list[str]:
    parts = [
        part
        for message in request.messages
        for part in (message.content if isinstance(message.content, list) else [message.content])
        if isinstance(part, TextPart) and part.text is None
    ]
    return sorted({part.type[:40] for part in parts})
