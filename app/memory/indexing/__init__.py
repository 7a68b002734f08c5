"""From the ledger into the index: the queue, the indexer, repair and rebuild."""

from app.memory.indexing.changes import upsert_for_new, upsert_for_row, upserts_for_added
from app.memory.indexing.indexed_text import cut_question, embedding_text, keyword_text, query_text, split_speaker
from app.memory.indexing.indexer import Indexer, load_upserts
from app.memory.indexing.rebuild import REBUILD_NAME, SELECT_REBUILD_PROGRESS_SQL, rebuild_index
from app.memory.indexing.repair import mark_missing_pending, remove_orphans, sweep
from app.memory.indexing.watch import IndexWatch

__all__ = [
    "REBUILD_NAME",
    "SELECT_REBUILD_PROGRESS_SQL",
    "IndexWatch",
    "Indexer",
    "cut_question",
    "embedding_text",
    "keyword_text",
    "load_upserts",
    "mark_missing_pending",
    "query_text",
    "rebuild_index",
    "remove_orphans",
    "split_speaker",
    "sweep",
    "upsert_for_new",
    "upsert_for_row",
    "upserts_for_added",
]
