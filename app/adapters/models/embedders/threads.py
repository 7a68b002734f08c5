"""Embedding models that block: sentence-transformers in this process, and mem0's other providers, by name."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.adapters.models.embedders.remote import PREFIX, WHO
from app.adapters.models.errors import DEFAULT_RETRY_SECONDS, ModelFailure, status_failure
from app.core.circuit_breaker import unavailable
from app.core.ports import Purpose

THREADS = 4


class BlockingCallFailed(Exception):
    """Each package raises its own classes, and their messages may quote content."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__(type(failure).__name__)
        self.kind = type(failure).__name__
        status = getattr(failure, "status_code", None)
        self.status = status if isinstance(status, int) and status >= 400 else None
        self.headers = getattr(getattr(failure, "response", None), "headers", None) or {}


class BlockingEmbeddingClient:
    """Runs a blocking function in its own threads. `embed` gets the texts and what they are for: `add` or `search`."""

    max_texts = 64
    max_length = 2000
    is_asymmetric = True
    errors: tuple[type[Exception], ...] = (BlockingCallFailed,)

    def __init__(self, name: str, embed: Callable[[list[str], str], Any], *, threads: int = THREADS) -> None:
        self.name = name
        self._embed = embed
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="embed")

    async def embed(self, texts: list[str], purpose: Purpose) -> list[list[float]]:
        action = "search" if purpose is Purpose.QUERY else "add"
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._embed, texts, action)
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([call])
        if (failure := call.exception()) is not None:
            raise BlockingCallFailed(failure)
        return [list(vector) for vector in call.result()]

    def classify(self, error: Exception) -> ModelFailure:
        assert isinstance(error, BlockingCallFailed)
        if error.status is not None:
            return status_failure(WHO, PREFIX, error.status, "", error.headers)
        failed = unavailable(f"{WHO} failed with {error.kind}.", DEFAULT_RETRY_SECONDS)
        # As if the server had failed: whether it does so for every text is found out with a harmless one.
        return ModelFailure(failed, can_retry=True, is_down=True, status=500)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
