"""Memories at a path, unique in their profile, with versions: the history of the ledger."""

from app.memory.documents.changes import change_document, create_document, delete_document
from app.memory.documents.read import Document, ListedPath, get_document, list_paths, load_documents
from app.memory.documents.versions import (
    DocumentVersion,
    VersionQuery,
    get_version,
    list_versions,
    redact_version,
)

__all__ = [
    "Document",
    "DocumentVersion",
    "ListedPath",
    "VersionQuery",
    "change_document",
    "create_document",
    "delete_document",
    "get_document",
    "get_version",
    "list_paths",
    "list_versions",
    "load_documents",
    "redact_version",
]
