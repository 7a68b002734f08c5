import datetime as dt
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul
from app.portability.exports.models import ExportState

ExportedUser = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]


class DataExportCreate(RequestBody):
    user_id: ExportedUser | None = Field(
        None,
        description="The user whose data to export. Without one, an end user exports their own data, and everyone else"
        " those of the whole project.",
    )


class DataExportRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: str | None = Field(description="Null for the data of the whole project.")
    state: ExportState
    done: int = Field(description="The profiles, sessions, messages and memories that are written.")
    total: int = Field(description="How many there are.")
    size: int = Field(description="The size of the file in bytes, so far.")
    counts: dict[str, int] = Field(description="The lines of each type, once the export is finished.")
    error: str | None
    created_at: dt.datetime
    finished_at: dt.datetime | None
    expires_at: dt.datetime = Field(description="When the export is deleted.")
