"""The requests and responses of /v1/admin/holds and /v1/admin/retention."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul
from app.retention.models import RetentionRun
from app.retention.policy import RetentionPolicy
from app.retention.preview import RulePreview

HeldUserId = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]
Reason = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]


class HoldWrite(RequestBody):
    reason: Reason | None = Field(None, description="Why the data must be kept, such as the number of a case.")


class HoldRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: str
    reason: str | None
    created_at: dt.datetime


class RunRequest(RequestBody):
    dry_run: bool = Field(False, description="Change nothing, and return what a run would do now.")
    policy: RetentionPolicy | None = Field(
        None, description="For a dry run: try these rules instead of the stored policy."
    )

    @model_validator(mode="after")
    def _check_policy(self) -> Self:
        if self.policy is not None and not self.dry_run:
            raise ValueError("`policy` needs `dry_run`: a run applies the stored policy. Store it first with PUT")
        return self


class RuleCounts(BaseModel):
    name: str
    archived: int
    deleted: int
    held: int = Field(description="Memories that the rule left alone because their user is under a legal hold.")


class RunRead(BaseModel):
    id: UUID
    state: Literal["queued", "running", "finished", "failed"]
    cause: Literal["schedule", "request"]
    archived: int
    deleted: int
    held: int
    rules: list[RuleCounts]
    error: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None


class MemorySample(BaseModel):
    id: UUID
    memory: str = Field(description="The first 200 characters.")


class RulePreviewRead(BaseModel):
    name: str
    archive: int = Field(description="Memories that a run would archive. Each counts for the first rule that it meets.")
    delete: int = Field(description="Archived memories that a run would delete.")
    held: int = Field(description="Memories that stay because their user is under a legal hold.")
    samples: list[MemorySample] | None = Field(description="Null without the scope `memories:read`.")


class PreviewRead(BaseModel):
    dry_run: Literal[True] = True
    rules: list[RulePreviewRead]


def render_run(run: RetentionRun) -> RunRead:
    rules = [RuleCounts(name=rule["name"], **run.counts[rule["name"]]) for rule in run.policy["rules"]]
    return RunRead.model_validate(
        {
            "rules": rules,
            **{effect: sum(getattr(rule, effect) for rule in rules) for effect in ("archived", "deleted", "held")},
            **{
                name: getattr(run, name)
                for name in ("id", "state", "cause", "error", "created_at", "started_at", "finished_at")
            },
        }
    )


def render_preview(previews: Sequence[RulePreview], texts: Mapping[UUID, str] | None) -> PreviewRead:
    return PreviewRead(rules=[_render_rule(preview, texts) for preview in previews])


def _render_rule(preview: RulePreview, texts: Mapping[UUID, str] | None) -> RulePreviewRead:
    samples = None
    if texts is not None:
        samples = [MemorySample(id=each, memory=texts[each]) for each in preview.sample_ids if each in texts]
    return RulePreviewRead(
        name=preview.name, archive=preview.archive, delete=preview.delete, held=preview.held, samples=samples
    )
