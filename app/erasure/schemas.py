import datetime as dt
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul
from app.erasure.models import Erasure, ErasureState, SubjectKind
from app.erasure.subject import Subject

UserId = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]
FIELDS = {
    "user_id": SubjectKind.USER,
    "profile_id": SubjectKind.PROFILE,
    "session_id": SubjectKind.SESSION,
    "memory_id": SubjectKind.MEMORY,
    "account": SubjectKind.ACCOUNT,
}


class EraseRequest(RequestBody):
    """Exactly one of the fields."""

    user_id: UserId | None = Field(None, description="Everything of this user in the project.")
    profile_id: UUID | None = Field(None, description="A profile with its memories and sessions, also the last one.")
    session_id: UUID | None = Field(None, description="A session and the memories that were made from it.")
    memory_id: UUID | None = Field(None, description="One memory.")
    account: UUID | None = Field(
        None, description="The id of an account: your own, or with the scope `admin` what the project holds of another."
    )

    @model_validator(mode="after")
    def _names_one_subject(self) -> Self:
        if len(self.model_fields_set) != 1 or self._value is None:
            raise ValueError(f"Send exactly one of {', '.join(FIELDS)}")
        return self

    @property
    def _value(self) -> object:
        [name] = self.model_fields_set
        return getattr(self, name)

    @property
    def subject(self) -> Subject:
        [name] = self.model_fields_set
        return Subject(FIELDS[name], str(self._value))


class Receipt(BaseModel):
    """Counts per store, without content."""

    id: UUID
    kind: SubjectKind
    state: ErasureState
    subject_hash: str = Field(description="The same for every erasure of the same subject on this server.")
    found: dict[str, int]
    removed: dict[str, int]
    left: dict[str, int] = Field(description="What was still there when the server looked again: 0 of each.")
    requested_at: dt.datetime
    finished_at: dt.datetime | None
    settled_at: dt.datetime | None = Field(
        description="When the server looked a last time, after every request that ran at the same time had ended."
    )
    vacuumed_at: dt.datetime | None = Field(description="When Postgres was told to free the deleted rows in its files.")

    @classmethod
    def of(cls, erasure: Erasure) -> "Receipt":
        return cls(
            id=erasure.id,
            kind=SubjectKind(erasure.kind),
            state=ErasureState(erasure.state),
            subject_hash=erasure.subject_hash.hex(),
            found=erasure.found,
            removed={store: erasure.removed.get(store, 0) for store in erasure.found},
            left=erasure.remaining,
            requested_at=erasure.created_at,
            finished_at=erasure.finished_at,
            settled_at=erasure.settled_at,
            vacuumed_at=erasure.vacuumed_at,
        )


class ErasureAnswer(BaseModel):
    receipt: Receipt
