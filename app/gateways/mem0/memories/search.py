"""Search: a question in words, within whatever the filters leave."""

from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import about, seek
from app.gateways.mem0.memories.list import no_ids_on_top, sift
from app.gateways.mem0.memories.render import as_memory, pick
from app.gateways.mem0.memories.schemas import SearchMemories
from app.gateways.mem0.project_check import check_place
from app.gateways.mem0.responses import Answer
from app.identity.caller import Caller
from app.memory.recall.decay import decays, recall_fading
from app.memory.recall.recall import Question, Recalled, reading, recall

THRESHOLD = 0.1


async def search_memories(
    resources: Resources, caller: Caller, asked: SearchMemories, *, threshold: float = THRESHOLD
) -> list[Answer]:
    check_place(caller, asked)
    no_ids_on_top(asked)
    found = about(caller, sift(asked))
    async with reading(resources.embedder, asked.query) as vector:
        sought = await seek(resources.database, caller, found, asked.profile_id)
        if sought.namespaces == ():
            return []
        question = Question(
            project_id=caller.project_id,
            text=asked.query,
            namespaces=sought.namespaces,
            top_k=asked.top_k,
            threshold=threshold if asked.threshold is None else asked.threshold,
            filter=sought.filter,
            show_expired=asked.show_expired,
            at=asked.reference_date,
            user_id=caller.user_id,
        )
        ask = recall_fading if await decays(resources, caller.project_id) else recall
        return [as_found(each, asked) for each in await ask(resources, question, vector)]


def as_found(recalled: Recalled, asked: SearchMemories) -> Answer:
    shown = as_memory(recalled.memory)
    shown["score"] = min(1.0, max(0.0, recalled.score))
    if asked.explain:
        shown["score_breakdown"] = recalled.parts
    return pick(shown, asked.fields)
