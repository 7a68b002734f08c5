"""Whether readiness tells the truth: when it says ready, a write and a search succeed within a few seconds."""

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field

import httpx

from tests.faults.installation import Installation

PROBE_SECONDS = 10.0
SETTLING_SECONDS = 3.0
"""An answer that was given before a kill says nothing about the time after it."""


@dataclass
class ReadinessWatch:
    installation: Installation
    client: httpx.AsyncClient
    answers: dict[str, int] = field(default_factory=dict)
    probes: int = 0
    untrue: list[str] = field(default_factory=list)
    """Probes that failed although readiness said ready and no part was killed meanwhile."""
    slowest: float = 0.0
    """Seconds that readiness took to answer while the process was serving."""

    async def watch(self) -> None:
        for number in itertools.count():
            started_at = time.monotonic()
            if await self.is_ready():
                failure = await self.probe(number)
                if failure and not self.killed_since(started_at - SETTLING_SECONDS):
                    self.untrue.append(failure)
            await asyncio.sleep(0.5)

    async def is_ready(self) -> bool:
        started_at, serving, answer = time.monotonic(), self.is_serving(), "no answer"
        with contextlib.suppress(httpx.TransportError):
            answer = str((await self.client.get("/v1/ready", timeout=10)).status_code)
        self.answers[answer] = self.answers.get(answer, 0) + 1
        if serving and answer != "no answer":
            self.slowest = max(self.slowest, time.monotonic() - started_at)
        return answer == "200"

    async def probe(self, number: int) -> str | None:
        """Why a write and a search did not succeed in time."""
        self.probes += 1
        text = f"Probe {number} of readiness"
        body = {"messages": text, "user_id": "probe", "infer": False}
        question = {"query": text, "filters": {"user_id": "probe"}, "top_k": 3, "threshold": 0}
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                added = await self.client.post("/v3/memories/add/", json=body)
                found = await self.client.post("/v3/memories/search/", json=question)
        except (TimeoutError, httpx.TransportError) as error:
            return f"{number}: {error!r}"
        if (added.status_code, found.status_code) != (200, 200):
            return f"{number}: {added.status_code} {added.text[:200]} {found.status_code} {found.text[:200]}"
        return None if text in found.text else f"{number}: not found"

    def is_serving(self) -> bool:
        """The socket accepts connections as soon as the process starts, and answers once everything is open."""
        api = self.installation.api
        return bool(api and api.address and api.process.poll() is None)

    def killed_since(self, moment: float) -> bool:
        return any(at >= moment for at, _ in self.installation.kills)
