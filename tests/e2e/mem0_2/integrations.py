"""mem0-strands, mem0-haystack and pipecat's service for mem0, unchanged. Run by test_mem0_integrations.py with the
server's URL and a key.

mem0-haystack has no option for the address of the server, so the client that it constructs gets it as its default."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["MEM0_TELEMETRY"] = "False"  # read on import
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import haystack_integrations.memory_stores.mem0.memory_store as haystack_module
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret
from haystack_integrations.components.retrievers.mem0 import Mem0MemoryRetriever
from haystack_integrations.components.writers.mem0 import Mem0MemoryWriter
from haystack_integrations.memory_stores.mem0 import Mem0MemoryStore as HaystackStore
from haystack_integrations.tools.mem0 import Mem0MemoryRetrieverTool, Mem0MemoryWriterTool
from mem0 import MemoryClient
from mem0_strands import Mem0MemoryStore as StrandsStore
from pipecat.frames.frames import LLMContextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.mem0.memory import Mem0MemoryService
from pipecat.tests.utils import run_test

URL, KEY = sys.argv[1:]
CARPENTER = "I work as a carpenter"
QUESTION = "What is my profession?"
NO_CREDENTIAL = "neither an access token nor an API key"


def refusal_of(kind: type[Exception], call: Callable[[], object]) -> str:
    try:
        call()
    except kind as error:
        return f"{error} {error.__cause__ or ''}"
    raise AssertionError("A wrong key was accepted")


async def use_strands() -> list[str]:
    store = StrandsStore(user_id="strands", app_id="app", api_key=KEY, host=URL, metadata={"origin": "strands"})
    added = await store.add(CARPENTER, {"topic": "work"})
    assert added["results"][0]["event"] == "ADD"
    (found, *_) = await store.search(QUESTION, {"max_search_results": 1})
    assert (found.content, found.metadata["topic"], found.metadata["origin"]) == (CARPENTER, "work", "strands")
    queued = await store.add_messages([{"role": "user", "content": [{"text": "I have a cat"}, {"toolUse": {}}]}])
    assert queued["status"] == "PENDING"
    stranger = StrandsStore(user_id="strands", api_key="m0-wrong", host=URL)
    assert NO_CREDENTIAL in refusal_of(ValueError, lambda: stranger.client)
    return ["add", "add_messages", "search"]


def find(component: Any, **filters: Any) -> list[str]:
    return [memory.text for memory in component.run(QUESTION, user_id="haystack", **filters)["memories"]]


def use_haystack() -> list[str]:
    haystack_module.MemoryClient = partial(MemoryClient, host=URL)
    store = HaystackStore(api_key=Secret.from_token(KEY))
    said = [ChatMessage.from_user(CARPENTER), ChatMessage.from_assistant("A fine trade")]
    written = Mem0MemoryWriter(memory_store=store, infer=False).run(said, user_id="haystack")
    assert written == {"memories_written": 2}
    assert Mem0MemoryWriterTool(memory_store=store).store("I have a cat", user_id="haystack") == (
        "Stored 1 memory item(s)."
    )
    store.add_memories(messages=said[:1], user_id="haystack", infer=False, metadata={"topic": "work"}, run_id="r1")
    retriever = Mem0MemoryRetriever(memory_store=store, top_k=1)
    assert find(retriever) == [CARPENTER]
    by_topic = {"field": "topic", "operator": "==", "value": "work"}
    assert find(retriever, filters=by_topic) == [CARPENTER]
    assert find(retriever, filters={"field": "metadata.topic", "operator": "!=", "value": "work"}, top_k=9)
    assert len(retriever.run(None, user_id="haystack")["memories"]) == 4
    assert CARPENTER in str(Mem0MemoryRetrieverTool(memory_store=store).retrieve(QUESTION, user_id="haystack"))
    stranger = HaystackStore(api_key=Secret.from_token("m0-wrong"))
    assert NO_CREDENTIAL in refusal_of(ValueError, stranger.warm_up)
    return [
        "Mem0MemoryRetriever",
        "Mem0MemoryRetrieverTool",
        "Mem0MemoryStore",
        "Mem0MemoryWriter",
        "Mem0MemoryWriterTool",
    ]


async def stored(service: Mem0MemoryService, adds: int) -> None:
    """pipecat adds messages in the background."""
    for _ in range(1200):
        events = service.memory_client.client.get("/v1/events/").json()["results"]
        if [each["event_type"] for each in events] == ["ADD"] * adds:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(events)


async def use_pipecat() -> list[str]:
    service = Mem0MemoryService(user_id="pipecat", api_key=KEY, host=URL)
    service.memory_client.add(CARPENTER, user_id="pipecat", infer=False)
    context = LLMContext([{"role": "user", "content": QUESTION}])
    await run_test(service, frames_to_send=[LLMContextFrame(context)], expected_down_frames=[LLMContextFrame])
    recalled = next(str(each["content"]) for each in context.get_messages() if each["role"] == "developer")
    assert f"1. {CARPENTER}" in recalled
    assert [each["memory"] for each in await service.get_memories()] == [CARPENTER]
    await stored(service, 2)  # the messages of the context, too
    wrong = partial(Mem0MemoryService, user_id="pipecat", api_key="m0-wrong", host=URL)
    assert NO_CREDENTIAL in refusal_of(ValueError, wrong)
    return ["get_memories", "process_frame"]


sys.stdout.write(
    json.dumps(
        {
            "pipecat": asyncio.run(use_pipecat()),
            "mem0-strands": asyncio.run(use_strands()),
            "mem0-haystack": use_haystack(),
        }
    )
)
