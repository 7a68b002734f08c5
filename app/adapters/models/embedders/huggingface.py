"""Models of the Hugging Face Hub that run in this process, with the package `sentence-transformers`."""

from sentence_transformers import SentenceTransformer

from app.adapters.models.embedders.threads import BlockingEmbeddingClient
from app.core.errors import ConfigurationError

DEFAULT_MODEL = "multi-qa-MiniLM-L6-cos-v1"


def open_sentence_transformer(model: str | None = None) -> BlockingEmbeddingClient:
    """Downloads the model at its first use, unless `model` is a folder."""
    name = model or DEFAULT_MODEL
    try:
        transformer = SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"sentence-transformers cannot load {name} ({type(error).__name__}). Set EMBEDDER_MODEL to a model of the"
            " Hugging Face Hub or to a folder that holds one."
        ) from None

    def embed(texts: list[str], action: str) -> list[list[float]]:
        encode = transformer.encode_query if action == "search" else transformer.encode_document
        vectors: list[list[float]] = encode(texts, convert_to_numpy=True, show_progress_bar=False).tolist()
        return vectors

    return BlockingEmbeddingClient(f"huggingface:{name}", embed, threads=1)
