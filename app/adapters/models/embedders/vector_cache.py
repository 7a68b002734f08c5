"""Vectors of texts that were embedded lately. They stay in this process, under a digest of the text."""

import hashlib
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.core.ports import Purpose, Vector

MAX_BYTES = 64 << 20
MAX_TENANT_BYTES = 4 << 20
KEPT_SECONDS = 600.0
Key = tuple[Purpose, bytes]


@dataclass(slots=True)
class TenantVectors:
    """The vectors of one project with the time until which each is kept, the one used longest ago first."""

    entries: OrderedDict[Key, tuple[float, bytes]] = field(default_factory=OrderedDict)
    size: int = 0


class VectorCache:
    """Each project has a share, so a project that embeds a lot displaces its own vectors first."""

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        tenant_bytes: int = MAX_TENANT_BYTES,
        seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes, self._tenant_bytes = max_bytes, tenant_bytes
        self._seconds, self._clock = seconds, clock
        self._tenants: OrderedDict[UUID | None, TenantVectors] = OrderedDict()
        self.size = 0

    def get(self, tenant: UUID | None, key: Key) -> Vector | None:
        vectors = self._tenants.get(tenant)
        entry = vectors.entries.get(key) if vectors else None
        if vectors is None or entry is None or entry[0] < self._clock():
            return None
        vectors.entries.move_to_end(key)
        self._tenants.move_to_end(tenant)
        return array("d", entry[1]).tolist()

    def put(self, tenant: UUID | None, key: Key, vector: Vector) -> None:
        packed = array("d", vector).tobytes()
        vectors = self._tenants.setdefault(tenant, TenantVectors())
        self._tenants.move_to_end(tenant)
        if key in vectors.entries:
            self._remove(vectors, key)
        vectors.entries[key] = (self._clock() + self._seconds, packed)
        vectors.size += len(packed)
        self.size += len(packed)
        self._drop_expired(vectors)
        while vectors.size > self._tenant_bytes:
            self._remove(vectors, next(iter(vectors.entries)))
        while self.size > self._max_bytes:
            self.size -= self._tenants.popitem(last=False)[1].size

    def _drop_expired(self, vectors: TenantVectors) -> None:
        """Those used longest ago, as far as they are also too old: what follows them is dropped in its turn."""
        while vectors.entries and next(iter(vectors.entries.values()))[0] < self._clock():
            self._remove(vectors, next(iter(vectors.entries)))

    def _remove(self, vectors: TenantVectors, key: Key) -> None:
        size = len(vectors.entries.pop(key)[1])
        vectors.size -= size
        self.size -= size


def cache_key(text: str, purpose: Purpose) -> Key:
    return purpose, hashlib.sha256(text.encode(errors="replace")).digest()
