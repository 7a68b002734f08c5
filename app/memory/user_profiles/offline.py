"""A portrait without a language model: no word in it is anybody's but the person's own."""

from collections.abc import Mapping, Sequence

from app.core.ports import SearchScope
from app.core.resources import Resources
from app.memory.categories.taxonomy import ENOUGH
from app.memory.ledger.models import Memory
from app.memory.namespace import Namespace
from app.memory.user_profiles.profile_schema import Shape, fit, kinds_of

OFFLINE = (
    "No language model is configured: each property holds what metadata says under its name, or the person's own"
    " words of the category of that name, or else those most like its description."
)
MOST_IN_A_LIST = 10
MOST_ALIKE = 5


async def by_likeness(resources: Resources, namespace: Namespace, schema: Shape, memories: Sequence[Memory]) -> Shape:
    found = {name: known(name, wanted, memories) for name, wanted in schema["properties"].items()}
    bare = [name for name, value in found.items() if value is None and takes_words(schema["properties"][name])]
    alike = await _alike(resources, namespace, {name: schema["properties"][name] for name in bare}, memories)
    return fit({**found, **alike}, schema)


def known(name: str, wanted: Shape, memories: Sequence[Memory]) -> object:
    """What metadata holds under this name, then the words of the category of this name; most important first."""
    values = [value for each in memories if (value := each.metadata_.get(name)) is not None]
    words = [each.content for each in memories if name in (each.categories or ())]
    if is_list(wanted):
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
        unique = [item for place, item in enumerate(flat or words) if item not in (flat or words)[:place]]
        return unique[:MOST_IN_A_LIST] or None
    return next(iter(values or (words if takes_words(wanted) else [])), None)


def takes_words(wanted: Shape) -> bool:
    if is_list(wanted):
        return may_be_text(wanted.get("items") or {})
    return may_be_text(wanted) and "enum" not in wanted


def is_list(wanted: Shape) -> bool:
    return kinds_of(wanted) == ["array"]


def may_be_text(wanted: Shape) -> bool:
    kinds = kinds_of(wanted)
    return not kinds or "string" in kinds


async def _alike(
    resources: Resources, namespace: Namespace, wanted: Mapping[str, Shape], memories: Sequence[Memory]
) -> Shape:
    if not wanted:
        return {}
    await resources.index_queue.settled(namespace.project_id, [str(namespace)])
    scope = SearchScope(namespace.project_id, (str(namespace),), tuple(each.id for each in memories))
    says = [f"{name.replace('_', ' ')}: {shape['description']}" for name, shape in wanted.items()]
    words = {each.id: each.content for each in memories}
    found: Shape = {}
    for (name, shape), vector in zip(wanted.items(), await resources.embedder.embed(says), strict=True):
        near = await resources.index.similar(scope, vector, MOST_ALIKE)
        close = [words[each.id] for each in near if (each.similarity or 0) >= ENOUGH and each.id in words]
        found[name] = (close if is_list(shape) else close[0]) if close else None
    return found
