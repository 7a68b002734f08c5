"""The columns that encrypted projects store sealed. Decision 0033 says why the others are not."""

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import TextClause, text


@dataclass(frozen=True)
class SealedTable:
    name: str
    record: str = "id"
    """The column with the id of the record that the content belongs to."""
    texts: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    """JSON lists of messages, of which the text is sealed."""
    leaves: tuple[str, ...] = ()
    """JSON values in which every text is sealed."""
    bytes: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    """Columns that are read, but not sealed."""
    batch: int = 200

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.texts, *self.messages, *self.leaves, *self.bytes)

    @cached_property
    def select(self) -> TextClause:
        """Locks the next rows with content that is not sealed with the key of this prefix."""
        columns = ", ".join(dict.fromkeys(("id", self.record, *self.columns, *self.more)))
        return text(
            f"select {columns} from {self.name} where project_id = :project_id and id > :after"  # noqa: S608
            f" and ({' or '.join(self._lacks(each) for each in self.columns)}) order by id limit :most for update"
        )

    @cached_property
    def update(self) -> TextClause:
        values = [f"{each} = cast(:{each} as jsonb)" for each in (*self.messages, *self.leaves)]
        values += [f"{each} = :{each}" for each in (*self.texts, *self.bytes)]
        if "hash" in self.more:
            values.append("hash = case when cast(:digest as text) is null then hash else decode(:digest, 'hex') end")
        return text(
            f"update {self.name} set {', '.join(values)} where project_id = :project_id and id = :id"  # noqa: S608
        )

    @cached_property
    def uses(self) -> TextClause:
        """Whether any row has content that is sealed with the key of this prefix."""
        return text(
            f"select exists (select from {self.name} where project_id = :project_id"  # noqa: S608
            f" and ({' or '.join(self._has(each) for each in self.columns)})) as found"
        )

    def _lacks(self, column: str) -> str:
        return f"({column} is not null and not ({self._has(column)}))"

    def _has(self, column: str) -> str:
        if column in self.bytes:
            start = f"substring({column} from 1 for length(cast(:prefix as text)))"
            return f"{start} = convert_to(cast(:prefix as text), 'UTF8')"
        if column in self.texts:
            return f"starts_with({column}, cast(:prefix as text))"
        return f"strpos({column}::text, cast(:prefix as text)) > 0"


SEALED_TABLES = (
    SealedTable("memories", texts=("content", "context"), more=("hash", "agent_id", "app_id", "run_id")),
    SealedTable("memory_history", "memory_id", texts=("old_memory", "new_memory"), messages=("input",)),
    SealedTable("events", messages=("messages",)),
    SealedTable("messages", texts=("content",)),
    SealedTable("sessions", texts=("title", "summary")),
    SealedTable("profiles", texts=("description", "persona")),
    SealedTable("portraits", "profile_id", leaves=("content",)),
    SealedTable("feedback", "memory_id", texts=("reason",)),
    SealedTable("data_export_chunks", "export_id", bytes=("content",), batch=10),
)
