"""Fill a user profile without a language model: every value is quoted from metadata or from a memory."""

from collections.abc import Mapping, Sequence

from app.core.ports import SearchScope
from app.core.resources import Resources
from app.memory.categories import MIN_SIMILARITY
from app.memory.ledger import Memory
from app.memory.namespace import Namespace
from app.memory.user_profiles.profile_schema import Shape, fit_to_schema, kinds_of

OFFLINE_NOTE = (
    "No language model is configured. Each property quotes the metadata of the same name, the memories of the category"
    " of the same name, or the memories closest to its description."
)
MAX_LIST_ITEMS = 10
MAX_SIMILAR = 5


async def fill_from_memories(
    resources: Resources, namespace: Namespace, schema: Shape, memories: Sequence[Memory]
) -> Shape:
    values = {name: quote(name, wanted, memories) for name, wanted in schema["properties"].items()}
    empty = {
        name: wanted for name, wanted in schema["properties"].items() if values[name] is None and accepts_text(wanted)
    }
    return fit_to_schema({**values, **await _find_similar(resources, namespace, empty, memories)}, schema)


def quote(name: str, wanted: Shape, memories: Sequence[Memory]) -> object:
    """The metadata of this name, or else the memories of the category of this name; the most important come first."""
    values = [value for memory in memories if (value := memory.metadata_.get(name)) is not None]
    texts = [memory.content for memory in memories if name in (memory.categories or ())]
    if is_list(wanted):
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])] or texts
        unique = [item for place, item in enumerate(flat) if item not in flat[:place]]
        return unique[:MAX_LIST_ITEMS] or None
    return next(iter(values or (texts if accepts_text(wanted) else [])), None)


def accepts_text(wanted: Shape) -> bool:
    if is_list(wanted):
        return may_be_text(wanted.get("items") or {})
    return may_be_text(wanted) and "enum" not in wanted


def is_list(wanted: Shape) -> bool:
    return kinds_of(wanted) == ["array"]


def may_be_text(wanted: Shape) -> bool:
    kinds = kinds_of(wanted)
    return not kinds or "string" in kinds


async def _find_similar(
    resources: Resources, namespace: Namespace, wanted: Mapping[str, Shape], memories: Sequence[Memory]
) -> Shape:
    if not wanted:
        return {}
    await resources.index_queue.wait_until_indexed(namespace.project_id, [str(namespace)], seconds=10)
    scope = SearchScope(namespace.project_id, (str(namespace),), tuple(memory.id for memory in memories))
    descriptions = [f"{name.replace('_', ' ')}: {shape['description']}" for name, shape in wanted.items()]
    texts = {memory.id: memory.content for memory in memories}
    vectors = await resources.embedder.embed(descriptions, tenant=namespace.project_id)
    found: Shape = {}
    for (name, shape), vector in zip(wanted.items(), vectors, strict=True):
        nearest = await resources.index.find_similar(scope, vector, MAX_SIMILAR)
        close = [texts[each.id] for each in nearest if (each.similarity or 0) >= MIN_SIMILARITY and each.id in texts]
        found[name] = (close if is_list(shape) else close[0]) if close else None
    return found
