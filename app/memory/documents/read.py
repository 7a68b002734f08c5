"""Read documents: one, or the paths below a prefix."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.memory.ledger import DOCUMENT_PATH
from app.memory.namespace import Namespace


def has_path(row: str) -> str:
    path = f"{row}.metadata -> '{DOCUMENT_PATH}'"
    return f"{row}.metadata ? '{DOCUMENT_PATH}' and jsonb_typeof({path}) = 'string' and {row}.kind <> 'message'"


def path_of(row: str) -> str:
    """In the collation of the index of paths."""
    return f"({row}.metadata ->> '{DOCUMENT_PATH}') collate \"C\""


# The history has the metadata of each version, and an index the current paths. What is imported can repeat a path: the
# oldest memory with it is the document.
MINE = f"""m.project_id = :project_id and m.namespace = :namespace and {has_path("m")} and not exists (
    select from memories o where o.project_id = m.project_id and o.namespace = m.namespace and {has_path("o")}
      and {path_of("o")} = {path_of("m")} and (o.created_at, o.id) < (m.created_at, m.id))"""
_DOCUMENT = f"""
select m.id, m.content, m.metadata ->> '{DOCUMENT_PATH}' as path, m.created_at, m.updated_at,
  (select h.id from memory_history h where h.project_id = m.project_id and h.memory_id = m.id
    and h.event in ('ADD', 'UPDATE') order by h.position desc limit 1) as version_id
from memories m where {MINE}"""  # noqa: S608  # only our own words are put together
SELECT_DOCUMENT_SQL = text(f"{_DOCUMENT} and m.id = :id")
SELECT_DOCUMENTS_SQL = text(f"""{_DOCUMENT} and {path_of("m")} = any(:paths)""")
# With `shallow`, what is deeper than one level below the prefix is represented by its directory.
SELECT_PATHS_SQL = text(f"""
select item, bool_or(deeper) as is_directory from (
  select case when deeper then :prefix || split_part(rest, '/', 1) || '/' else path end as item, deeper
  from (
    select path, rest, cast(:shallow as boolean) and strpos(rest, '/') > 0 as deeper from (
      select m.metadata ->> '{DOCUMENT_PATH}' as path,
        substr(m.metadata ->> '{DOCUMENT_PATH}', length(:prefix) + 1) as rest
      from memories m where {MINE} and starts_with(m.metadata ->> '{DOCUMENT_PATH}', :prefix)
    ) below
  ) placed
) items
where cast(:after as text) is null or item collate "C" > :after
group by item order by item collate "C" limit :limit
""")  # noqa: S608  # only our own words are put together


@dataclass(frozen=True, slots=True)
class Document:
    id: UUID
    content: str
    path: str
    created_at: dt.datetime
    updated_at: dt.datetime
    version_id: UUID | None

    @property
    def sha256(self) -> str:
        return digest_of(self.content)


@dataclass(frozen=True, slots=True)
class ListedPath:
    path: str
    is_directory: bool


def digest_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def scope_values(namespace: Namespace, **more: object) -> dict[str, object]:
    return {"project_id": namespace.project_id, "namespace": str(namespace), **more}


async def get_document(tx: AsyncSession, namespace: Namespace, document_id: UUID) -> Document:
    row = (await tx.execute(SELECT_DOCUMENT_SQL, scope_values(namespace, id=document_id))).one_or_none()
    if row is None:
        raise NotFound("This store has no such memory.")
    return Document(*row)


async def load_documents(tx: AsyncSession, namespace: Namespace, paths: Sequence[str]) -> dict[str, Document]:
    rows = await tx.execute(SELECT_DOCUMENTS_SQL, scope_values(namespace, paths=list(paths)))
    return {row.path: Document(*row) for row in rows}


async def list_paths(
    tx: AsyncSession, namespace: Namespace, prefix: str, *, shallow: bool, after: str | None, limit: int
) -> list[ListedPath]:
    """In the order of their characters."""
    values = scope_values(namespace, prefix=prefix, shallow=shallow, after=after, limit=limit)
    return [ListedPath(row.item, row.is_directory) for row in await tx.execute(SELECT_PATHS_SQL, values)]
