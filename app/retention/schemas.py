"""The requests and responses of /v1/admin/holds and /v1/admin/retention."""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul

HeldUserId = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]
Reason = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]


class HoldWrite(RequestBody):
    reason: Reason | None = Field(None, description="Why the data must be kept, such as the number of a case.")


class HoldRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: str
    reason: str | None
    created_at: dt.datetime
