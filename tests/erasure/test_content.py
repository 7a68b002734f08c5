"""Every column that can hold text is classified once, so that no erasure overlooks one."""

from collections import Counter

from sqlalchemy.ext.asyncio import AsyncEngine

from app.erasure.content import CLASSES, USER_CONTENT
from app.erasure.stores import TABLES
from tests.chat.conversation import AdminRows

SELECT_TEXT_COLUMNS_SQL = """
select c.table_schema || '.' || c.table_name || '.' || c.column_name as name from information_schema.columns c
join information_schema.tables t using (table_schema, table_name)
where c.table_schema not in ('pg_catalog', 'information_schema') and t.table_type = 'BASE TABLE'
  and c.udt_name in ('text', '_text', 'varchar', '_varchar', 'bpchar', 'json', 'jsonb', 'bytea', '_bytea', 'xml',
    'name', 'citext', 'inet', 'vector', 'sparsevec', 'tsvector')
"""


async def test_every_text_column_is_classified_once(admin_engine: AsyncEngine) -> None:
    rows = await AdminRows(admin_engine).select_all(SELECT_TEXT_COLUMNS_SQL)
    listed = Counter(f"{table}.{column}" for each in CLASSES for table, columns in each.items() for column in columns)
    assert {name for name, count in listed.items() if count > 1} == set()
    assert {row.name for row in rows} - set(listed) == set(), "classify these columns in app/erasure/content.py"
    assert set(listed) - {row.name for row in rows} == set(), "these columns do not exist"


def test_every_table_with_content_is_erased() -> None:
    erased = {f"public.{table.table}" for table in TABLES}
    assert set(USER_CONTENT) - erased == {"public.erasures"}, "add these tables to app/erasure/stores.py"
