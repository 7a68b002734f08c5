"""How the text to embed and the text for BM25 are built from a memory."""

import datetime as dt


def embedding_text(content: str, context: str | None, said_at: dt.datetime) -> str:
    del said_at
    return f"{context}\n{content}" if context else content


def keyword_text(content: str, context: str | None) -> str:
    return f"{context}\n{content}" if context else content
