"""Embeds the texts of a project with the embedder that its searches use."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from app.core.ports import MULTILINGUAL, Embedder, EmbedderChoice, Purpose, Vector
from app.memory.embedders.choices import EmbedderChoices

MULTILINGUAL_SCALE = 1.36
"""Measured on LoCoMo: the best memory of the conversation asked about has 0.53 instead of 0.73, and the best one of
another conversation has 0.24 instead of 0.36. Zero stays zero, which is the similarity of what is no candidate."""


class MultilingualVector(list[float]):
    """A vector remembers its embedder, because the state of the project may change before it is searched for."""

    @property
    def choice(self) -> EmbedderChoice:
        return EmbedderChoice.MULTILINGUAL


def choice_of(vector: Vector) -> EmbedderChoice:
    return vector.choice if isinstance(vector, MultilingualVector) else EmbedderChoice.ENGLISH


def on_default_scale(choice: EmbedderChoice, similarity: float) -> float:
    """Thresholds were chosen for the default model. The multilingual one calls the same pairs of texts less similar.
    The result can be above 1 for texts that are nearly the same."""
    return similarity if choice is EmbedderChoice.ENGLISH else MULTILINGUAL_SCALE * similarity


class EmbedderRouter:
    """The multilingual embedder is opened when it is first needed."""

    def __init__(
        self, default: Embedder, choices: EmbedderChoices, open_multilingual: Callable[[], Awaitable[Embedder]]
    ) -> None:
        self.name, self.dimensions = default.name, default.dimensions
        self.choices = choices
        self._default = default
        self._open_multilingual = open_multilingual
        self._opening = asyncio.Lock()
        self._multilingual: Embedder | None = None

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        if not self.choices.in_use:
            return await self._default.embed(texts, purpose, tenant=tenant)
        state = await self.choices.current(tenant)
        return await self.embed_with(state.serving, texts, purpose, tenant=tenant)

    async def embed_with(
        self,
        choice: EmbedderChoice,
        texts: Sequence[str],
        purpose: Purpose = Purpose.DOCUMENT,
        *,
        tenant: UUID | None = None,
    ) -> list[Vector]:
        embedder = await self.open(choice)
        vectors = await embedder.embed(texts, purpose, tenant=tenant)
        return vectors if choice is EmbedderChoice.ENGLISH else [MultilingualVector(each) for each in vectors]

    async def open(self, choice: EmbedderChoice) -> Embedder:
        if choice is EmbedderChoice.ENGLISH:
            return self._default
        async with self._opening:
            if self._multilingual is None:
                self._multilingual = await self._open_multilingual()
        return self._multilingual

    async def close(self) -> None:
        await self.close_multilingual()
        await self._default.close()

    async def close_multilingual(self) -> None:
        """The caller that opened the default embedder closes it."""
        if self._multilingual is not None:
            await self._multilingual.close()


def ranking_model(embedder: Embedder, project_id: UUID) -> str:
    """The name of the model that made the similarities of a project."""
    if not isinstance(embedder, EmbedderRouter) or not embedder.choices.in_use:
        return embedder.name
    is_english = embedder.choices.known(project_id).serving is EmbedderChoice.ENGLISH
    return embedder.name if is_english else MULTILINGUAL.name


async def serving_choice(embedder: Embedder, project_id: UUID) -> EmbedderChoice:
    if not isinstance(embedder, EmbedderRouter) or not embedder.choices.in_use:
        return EmbedderChoice.ENGLISH
    return (await embedder.choices.current(project_id)).serving


async def embed_with(
    embedder: Embedder, choice: EmbedderChoice, texts: Sequence[str], tenant: UUID | None
) -> list[Vector]:
    if isinstance(embedder, EmbedderRouter):
        return await embedder.embed_with(choice, texts, tenant=tenant)
    return await embedder.embed(texts, tenant=tenant)
