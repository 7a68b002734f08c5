"""Plants a marker in every column that keeps content of a user, and finds the markers again."""

import re
import uuid
from dataclasses import dataclass, field

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.resources import Resources
from app.erasure.content import USER_CONTENT
from app.sessions.window import WindowMessage, window_store
from tests.chat.conversation import SELECT_TABLES_SQL
from tests.rows import Corner, fill_in

# Keys have no user, and the row of an erasure does not exist yet.
OF_A_USER = {name.removeprefix("public."): columns for name, columns in USER_CONTENT.items()}
OF_A_USER = {name: columns for name, columns in OF_A_USER.items() if name not in ("api_keys", "erasures")}
IDENTITIES = ("user_id", "entity_id")
"""The name of the user, which is a marker itself."""
HASHES = ("hash", "fingerprint")
CONNECT_MEMORY_SQL = text("""
update public.memories set source_message_id = :message_id, namespace = concat(project_id, ':', profile_id)
where id = :memory_id
""")
CONNECT_EVENT_SQL = text("""
update public.events set session_id = cast(:session_id as uuid),
  namespace = concat(project_id, ':', cast(:profile_id as uuid)) where id = :event_id
""")
# Of the conversation store, which has a namespace for each tenant.
INSERT_MESSAGE_SQL = text("""
insert into public.memories (project_id, user_id, profile_id, namespace, kind, content, hash, categories, tenant_id,
  conversation_id)
values (:project_id, :user_id, :profile_id, 'tenant', 'message', :marker0, 'x', '{}', :marker1, :marker2)
""")
OF_MESSAGES = ("tenant_id", "conversation_id")
SELECT_TYPES_SQL = text("""
select table_name, column_name, udt_name from information_schema.columns where table_schema = 'public'
""")


@dataclass
class Planted:
    """The rows of one user, with a marker of its own in each column."""

    project_id: uuid.UUID
    prefix: str = field(default_factory=lambda: f"Spür{uuid.uuid4().hex[:12]}x")
    corner: Corner = field(init=False)
    count: int = 1
    places: dict[str, set[str]] = field(default_factory=dict)
    """The markers of each table, and of each column."""
    message_markers: set[str] = field(default_factory=set)
    """Those of a message that an application stored, outside of sessions."""

    def __post_init__(self) -> None:
        self.corner = Corner(self.project_id, self.marker(0))

    @property
    def user_id(self) -> str:
        return self.corner.user_id

    def marker(self, number: int) -> str:
        return f"{self.prefix}{number:03}"

    @property
    def markers(self) -> set[str]:
        return {self.marker(number) for number in range(self.count)}

    def next_marker(self) -> str:
        self.count += 1
        return self.marker(self.count - 1)

    async def plant(self, admin: AsyncEngine, resources: Resources) -> None:
        await self.plant_rows(admin)
        store = window_store(resources, self.project_id)
        await store.record_activity(self.user_id)
        await store.save(self.corner.session_id, [WindowMessage("user", self.next_marker(), 1)], active=True)

    async def plant_rows(self, admin: AsyncEngine) -> None:
        async with AsyncSession(admin) as tx, tx.begin():
            await fill_in(tx, self.corner)
            await tx.execute(CONNECT_MEMORY_SQL, vars(self.corner))
            await tx.execute(CONNECT_EVENT_SQL, vars(self.corner))
            types = {(row[0], row[1]): row[2] for row in await tx.execute(SELECT_TYPES_SQL)}
            for table, columns in OF_A_USER.items():
                for column in columns:
                    if column not in (*IDENTITIES, *HASHES, *OF_MESSAGES):
                        await self._plant_in(tx, table, column, types[table, column])
            await tx.execute(INSERT_MESSAGE_SQL, {**vars(self.corner), **self._add("memories", 3)})

    async def _plant_in(self, tx: AsyncSession, table: str, column: str, kind: str) -> None:
        value = {
            "text": "cast(:marker as text)",
            "bytea": "convert_to(cast(:marker as text), 'UTF8')",
            "_text": "array[cast(:marker as text)]",
            "jsonb": "jsonb_build_array(jsonb_build_object('content', cast(:marker as text), cast(:key as text), 1))",
        }[kind]
        markers = {name: self.next_marker() for name in (("marker", "key") if kind == "jsonb" else ("marker",))}
        self.places[table] = self.places.get(table, set()) | set(markers.values())
        self.places[f"{table}.{column}"] = set(markers.values())
        update = text(f"update public.{table} set {column} = {value} where project_id = :project and user_id = :user")
        done = await tx.execute(update, {**markers, "project": self.project_id, "user": self.user_id})
        assert isinstance(done, CursorResult)
        assert done.rowcount == 1, table

    def _add(self, table: str, count: int) -> dict[str, str]:
        markers = {f"marker{number}": self.next_marker() for number in range(count)}
        self.places[table] |= set(markers.values())
        self.message_markers = set(markers.values())
        return markers

    def markers_of(self, *tables: str) -> set[str]:
        """With the user's name, which the rows carry, too."""
        return {self.marker(0)}.union(*(self.places[table] for table in tables))

    async def find(self, admin: AsyncEngine, resources: Resources) -> set[str]:
        """The markers that are in any table of any schema, or in short-term memory."""
        found: set[str] = set()
        async with admin.connect() as connection:
            for table in (await connection.execute(SELECT_TABLES_SQL)).scalars().all():
                rows = text(f"select t::text from {table} t where t::text like :prefix or t::text like :in_hex")
                values = {"prefix": f"%{self.prefix}%", "in_hex": f"%{self.prefix.encode().hex()}%"}
                for row in (await connection.execute(rows, values)).scalars():
                    found |= self.read(row)
        window = await window_store(resources, self.project_id).load(self.corner.session_id, self.user_id) or []
        return found.union(*(self.read(message.content) for message in window))

    def read(self, content: str) -> set[str]:
        """Binary columns are shown in hexadecimal digits."""
        in_hex = re.findall(rf"{self.prefix.encode().hex()}(?:3\d){{3}}", content)
        return {*re.findall(rf"{self.prefix}\d{{3}}", content), *(bytes.fromhex(found).decode() for found in in_hex)}
