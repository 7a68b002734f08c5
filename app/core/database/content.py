"""Content: text of users that an encrypted project stores sealed. See decision 0033.

Writers mark content with the types of this module, which are plain text wherever nothing is encrypted. A connection
seals what is marked when it sends a statement, and opens what is sealed when it reads a row.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import set_json_dumps
from psycopg.types.string import BytesBinaryDumper, StrDumperUnknown
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ports.content import ContentCipher

MARK = "content:1:"
MARK_BYTES = MARK.encode()
CIPHER = "content_cipher"
"""The name under which a session knows the cipher of its database."""
NESTED = (str, dict, list)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
Row = Sequence[Any]


class Content(str):
    """Text that belongs to one record of a project."""

    __slots__ = ("project_id", "record_id")
    project_id: UUID
    record_id: UUID

    def __new__(cls, content: str, project_id: UUID, record_id: UUID) -> Self:
        self = super().__new__(cls, content)
        self.project_id, self.record_id = project_id, record_id
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """A copy is plain."""
        return str, (str(self),)


class ContentBytes(bytes):
    """Bytes that belong to one record of a project."""

    project_id: UUID
    record_id: UUID

    def __new__(cls, content: bytes, project_id: UUID, record_id: UUID) -> Self:
        self = super().__new__(cls, content)
        self.project_id, self.record_id = project_id, record_id
        return self

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        """A copy is plain."""
        return bytes, (bytes(self),)


class ContentDigest(str):
    """The digest of content in hexadecimal form, by which duplicates are found."""

    __slots__ = ("project_id",)
    project_id: UUID

    def __new__(cls, digest: str, project_id: UUID) -> Self:
        self = super().__new__(cls, digest)
        self.project_id = project_id
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """A copy is plain."""
        return str, (str(self),)


class ContentJson(str):
    """JSON text of a value that contains content."""

    __slots__ = ("default", "value")
    value: object
    default: Callable[[Any], object] | None

    def __new__(cls, value: object, default: Callable[[Any], object] | None = None) -> Self:
        self = super().__new__(cls, json.dumps(value, default=default))
        self.value, self.default = value, default
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """A copy is plain."""
        return str, (str(self),)


def content_messages(
    messages: Iterable[Mapping[str, object]], project_id: UUID, record_id: UUID
) -> list[dict[str, object]]:
    """Messages with their text marked as content."""
    marked = []
    for each in messages:
        content = each.get("content")
        marked.append(
            {**each, **({"content": Content(content, project_id, record_id)} if isinstance(content, str) else {})}
        )
    return marked


def content_leaves(value: object, project_id: UUID, record_id: UUID) -> Any:
    """A JSON value with every text in it marked as content. The names of fields are not."""
    if isinstance(value, str):
        return Content(value, project_id, record_id)
    if isinstance(value, Mapping):
        return {name: content_leaves(each, project_id, record_id) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [content_leaves(each, project_id, record_id) for each in value]
    return value


def is_sealing(tx: AsyncSession, project_id: UUID) -> bool:
    """Whether statements of the transaction cannot compare the content of the project."""
    cipher: ContentCipher | None = tx.info.get(CIPHER)
    return cipher is not None and cipher.is_sealing(project_id)


def stored_digest(tx: AsyncSession, project_id: UUID, digest: bytes) -> bytes:
    cipher: ContentCipher | None = tx.info.get(CIPHER)
    return cipher.digest(project_id, digest) if cipher else digest


# ---------------------------------------------------------------- at the connection


class ContentConnections:
    """Makes connections seal what statements mark, and open what rows contain."""

    def __init__(self, cipher: ContentCipher) -> None:
        self.cipher = cipher
        self._text_dumper = type("_ContentDumper", (_ContentDumper,), {"cipher": cipher})
        self._json_dumper = type("_ContentJsonDumper", (_ContentJsonDumper,), {"cipher": cipher})
        # psycopg keeps one dumper for all functions with the same code.
        self._dump_json = partial(_dump_json, cipher)
        self._bytes_dumper = type("_ContentBytesDumper", (_ContentBytesDumper,), {"cipher": cipher})

    def adapt(self, connection: AsyncConnection[Any]) -> None:
        connection.adapters.register_dumper(Content, self._text_dumper)
        connection.adapters.register_dumper(ContentDigest, self._text_dumper)
        connection.adapters.register_dumper(ContentJson, self._json_dumper)
        connection.adapters.register_dumper(ContentBytes, self._bytes_dumper)
        set_json_dumps(self._dump_json, connection)
        connection.row_factory = self._row_factory

    def _row_factory(self, _cursor: AsyncCursor[Any]) -> Callable[[Row], tuple[Any, ...]]:
        return lambda values: tuple(self.open_row(values))

    def open_row(self, values: Row) -> Row:
        """Content must be that of a record whose id is in the row, or beside it in a JSON value, if there are ids."""
        for value in values:  # on every row that is read, where a generator would take twice as long
            if _may_be_sealed(value):
                return self._open(values)
        return values

    def _open(self, values: Row) -> Row:
        records = {value.bytes for value in values if type(value) is UUID}
        return [_opened(self.cipher, value, records) if _may_be_sealed(value) else value for value in values]


class _ContentDumper(StrDumperUnknown):
    cipher: ClassVar[ContentCipher]

    def dump(self, obj: str) -> Any:
        return super().dump(_sealed(self.cipher, obj))


class _ContentJsonDumper(StrDumperUnknown):
    cipher: ClassVar[ContentCipher]

    def dump(self, obj: str) -> Any:
        assert isinstance(obj, ContentJson)
        return super().dump(json.dumps(_sealed(self.cipher, obj.value), default=obj.default))


class _ContentBytesDumper(BytesBinaryDumper):
    cipher: ClassVar[ContentCipher]

    def dump(self, obj: Any) -> Any:
        assert isinstance(obj, ContentBytes)
        if not self.cipher.is_sealing(obj.project_id):
            return super().dump(bytes(obj))
        return super().dump(self.cipher.seal(obj.project_id, obj.record_id, bytes(obj)).encode())


def _dump_json(cipher: ContentCipher, value: object) -> str:
    return json.dumps(_sealed(cipher, value))


def _sealed(cipher: ContentCipher, value: Any) -> Any:
    if isinstance(value, Content):
        sealing = cipher.is_sealing(value.project_id)
        return cipher.seal(value.project_id, value.record_id, value.encode()) if sealing else str(value)
    if isinstance(value, ContentDigest):
        return cipher.digest(value.project_id, bytes.fromhex(value)).hex()
    if isinstance(value, Mapping):
        return {name: _sealed(cipher, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_sealed(cipher, each) for each in value]
    return value


def _may_be_sealed(value: object) -> bool:
    kind = type(value)
    if kind is str:
        return value.startswith(MARK)  # type: ignore[attr-defined, no-any-return]
    if kind is bytes:
        return value.startswith(MARK_BYTES)  # type: ignore[attr-defined, no-any-return]
    return kind is dict or (kind is list and bool(value) and type(value[0]) in NESTED)  # type: ignore[index]


def _opened(cipher: ContentCipher, value: Any, records: set[bytes]) -> Any:
    kind = type(value)
    if kind is str and value.startswith(MARK):
        content = cipher.open(value, records)
        return value if content is None else content.decode()
    if kind is bytes and value.startswith(MARK_BYTES):
        content = cipher.open(value.decode(), records)
        return value if content is None else content
    if kind is dict:
        own = {*records, UUID(value["id"]).bytes} if ID.fullmatch(str(value.get("id"))) else records
        return {name: _opened(cipher, each, own) for name, each in value.items()}
    if kind is list:
        return [_opened(cipher, each, records) for each in value]
    return value
