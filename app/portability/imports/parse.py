"""What each value of an import means: a line of our export, a memory of mem0, or a chat of another assistant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from app.core.errors import BadRequest
from app.core.ports import EmbedderChoice
from app.core.storable_text import storable
from app.portability.imports.chats import is_chat, read_chat
from app.portability.line_format import CHOOSE_USER, ImportedMemory, NoValidField, read_line
from app.portability.lines import FORMAT_VERSION, LINE_MODELS, LINE_TYPES, EntityLine

KNOWN_TYPES = ", ".join(sorted(LINE_TYPES))


@dataclass(frozen=True, slots=True)
class ImportRow:
    number: int
    type: str
    line: BaseModel | ImportedMemory
    from_export: bool = True
    """Whether its history has lines of its own."""


@dataclass
class ValueParser:
    """The parser of one import. It remembers what the header says."""

    default_user: str | None = None
    """The user of what names none."""
    only_user: str | None = None
    """The only user that the importer may act for."""
    file_user: str | None = None
    """The user whose data the export holds, if it is not a project's."""
    embedder: EmbedderChoice | None = None
    """The embedder of the project that the export holds, if it is not the default."""
    has_header: bool = False
    has_end: bool = False
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def was_cut_off(self) -> bool:
        return self.has_header and not self.has_end

    def parse(self, number: int, value: object) -> list[ImportRow]:
        if not isinstance(value, Mapping):
            raise BadRequest(
                f"Line {number} of the file is not a memory. Write a JSON object with its text under `memory`."
            )
        if value.get("keepsake") == "export":
            return self._read_header(value)
        if is_chat(value):
            return self._read_chat(number, value)
        return self._read_typed(number, value.get("type"), value)

    def _read_typed(self, number: int, kind: object, value: Mapping[str, Any]) -> list[ImportRow]:
        """A memory of mem0 has no type."""
        if kind is None or kind == "memory":
            return [self._read_memory(number, value, from_export=kind is not None)]
        if not isinstance(kind, str) or kind not in LINE_TYPES:
            raise BadRequest(f"Line {number} of the file has an unknown `type`. The types are {KNOWN_TYPES}.")
        if kind in LINE_MODELS:
            return [self._read_model(number, kind, value)]
        self._pass_over(kind)
        return []

    def _read_header(self, header: Mapping[str, Any]) -> list[ImportRow]:
        version = header.get("version")
        if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
            raise UnsupportedVersion(version)
        self.has_header, self.file_user = True, header.get("user_id")
        if header.get("embedder") == EmbedderChoice.MULTILINGUAL:
            self.embedder = EmbedderChoice.MULTILINGUAL
        return []

    def _pass_over(self, kind: str) -> None:
        """An account is created by signing up, never by an import."""
        if kind == "end":
            self.has_end = True
        else:
            self.skipped[kind] = self.skipped.get(kind, 0) + 1

    def _read_memory(self, number: int, value: Mapping[str, Any], *, from_export: bool) -> ImportRow:
        line = {name: each for name, each in value.items() if name != "type"} if from_export else value
        memory = read_line(line, number, self.only_user or self.default_user)
        owner = self._owner(number, memory.user_id)
        return ImportRow(number, "memory", ImportedMemory(memory.new, owner, memory.profile), from_export)

    def _read_model(self, number: int, kind: str, value: Mapping[str, Any]) -> ImportRow:
        check_storable(number, value)
        try:
            line = LINE_MODELS[kind].model_validate(value)
        except ValidationError as error:
            place = error.errors(include_url=False, include_input=False, include_context=False)[0]["loc"]
            name = ".".join(map(str, place)) or kind
            raise NoValidField(number, name) from None
        if "user_id" in LINE_MODELS[kind].model_fields:
            owner = self._owner(number, getattr(line, "user_id"))  # noqa: B009  # of several models
            line = line.model_copy(update={"user_id": owner})
        return ImportRow(number, kind, self._own_entity(number, line) if isinstance(line, EntityLine) else line)

    def _own_entity(self, number: int, line: EntityLine) -> EntityLine:
        if line.entity_type == "user":
            return line.model_copy(update={"entity_id": self._owner(number, line.entity_id)})
        if self.only_user:
            raise BadRequest(
                f"Line {number} of the file describes an agent, an app or a run, which belong to the project."
            )
        return line

    def _read_chat(self, number: int, value: Mapping[str, Any]) -> list[ImportRow]:
        owner = self.only_user or self.default_user
        if owner is None:
            raise BadRequest(f"Line {number} of the file is a conversation that names no user. {CHOOSE_USER}")
        try:
            session, messages = read_chat(value, owner)
        except (ValueError, OverflowError):
            raise BadRequest(f"Line {number} of the file is a conversation without an id or a valid time.") from None
        rows = [ImportRow(number, "session", session)]
        return rows + [ImportRow(number, "message", message) for message in messages]

    def _owner(self, number: int, named: str | None) -> str | None:
        """An end user imports only what is theirs: what the file says of its own user, or of no user."""
        if self.only_user is None:
            return named
        foreign = self.has_header and named not in (None, self.file_user, self.only_user)
        if foreign:
            raise BadRequest(f"Line {number} of the file belongs to another user. You can import your own data only.")
        return self.only_user


class UnsupportedVersion(BadRequest):
    def __init__(self, version: object) -> None:
        super().__init__(
            f"The file has version {str(version)[:20]} of the export format, and this server reads versions up to"
            f" {FORMAT_VERSION}. Import it with a newer server."
        )


def check_storable(number: int, value: Mapping[str, Any]) -> None:
    try:
        storable(dict(value))
    except ValueError as error:
        raise BadRequest(f"Line {number} of the file cannot be imported: it {error}") from None
