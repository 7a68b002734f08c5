"""A new field of a memory is added in three places: a migration, `LIST` and, if clients see it, `RENDERING`."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from app.core.resources import Resources
from app.memory.ledger import FIELDS, NewMemory, SearchRow

APP = Path(__file__).parents[3] / "app"
LIST = "memory/ledger/memory.py"
RENDERING = "gateways/mem0/memories/render.py"
COLUMNS = text("""
select attname, upper(format_type(atttypid, atttypmod)) from pg_attribute
where attrelid = 'public.memories'::regclass and attnum > 0 and not attisdropped
""")
TELLTALE_FIELDS = {
    "context",
    "categories",
    "importance",
    "immutable",
    "expires_on",
    "archived_at",
    "replaced_by",
    "access_count",
    "accessed_at",
    "source_message_id",
}
MAX_TELLTALE_FIELDS = 4
"""A definition that names more of them lists the fields of a memory."""


def definitions(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each top-level definition of a file, with the identifiers, names of arguments and words of strings in it."""
    for node in ast.parse(path.read_text()).body:
        words: set[str] = set()
        for inner in ast.walk(node):
            match inner:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                    words.add(name)
                case ast.Constant(value=str(value)):
                    words.update(value.replace(",", " ").replace(".", " ").split())
        yield f"{path.relative_to(APP).as_posix()}:{node.lineno}", words


async def test_fields_are_the_columns_of_the_table(resources: Resources) -> None:
    async with resources.database.system() as tx:
        columns = {row[0]: row[1] for row in await tx.execute(COLUMNS)}
    assert columns == FIELDS


def test_new_memory_and_search_row_have_no_fields_besides() -> None:
    own = {"origin", "input"}
    assert {field.name for field in dataclasses.fields(NewMemory)} - own <= FIELDS.keys()
    assert {name.removesuffix("_json") for name in SearchRow._fields} <= FIELDS.keys()


def test_fields_are_listed_in_no_other_file() -> None:
    listing = {
        place.partition(":")[0]
        for path in sorted(APP.rglob("*.py"))
        for place, words in definitions(path)
        if len(words & TELLTALE_FIELDS) > MAX_TELLTALE_FIELDS
    }
    assert listing - {LIST, RENDERING} == set()
