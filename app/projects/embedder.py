"""The embedder that a project chooses. A trigger queues the job that changes its vectors."""

from importlib.util import find_spec
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.core.ports import INSTALL_MULTILINGUAL, MULTILINGUAL_PACKAGE, EmbedderChoice

# A project without a row uses the default embedder.
UPSERT_CHOICE_SQL = text("""
insert into project_embedders (project_id, chosen)
select :project, :chosen
where :chosen <> 'english' or exists (select from project_embedders where project_id = :project)
on conflict (project_id) do update set chosen = excluded.chosen
where project_embedders.chosen <> excluded.chosen
""")
SELECT_CHOICE_SQL = text("select chosen from project_embedders where project_id = :project")


async def load_embedder(database: Database, project_id: UUID) -> EmbedderChoice:
    async with database.system() as tx:
        chosen = await tx.scalar(SELECT_CHOICE_SQL, {"project": project_id})
    return EmbedderChoice(chosen or EmbedderChoice.ENGLISH)


async def choose_embedder(tx: AsyncSession, project_id: UUID, chosen: EmbedderChoice) -> None:
    if chosen is EmbedderChoice.MULTILINGUAL and find_spec(MULTILINGUAL_PACKAGE) is None:
        raise BadRequest(INSTALL_MULTILINGUAL)
    await tx.execute(UPSERT_CHOICE_SQL, {"project": project_id, "chosen": chosen})
