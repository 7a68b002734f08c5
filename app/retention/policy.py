"""The retention policy of a project: rules that say what is archived, and when archived memories are deleted."""

import datetime as dt
from collections import Counter
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.http.strict_requests import RequestBody
from app.core.ports import Role
from app.core.storable_text import no_nul
from app.memory.ledger import Kind
from app.projects.repository import SettingsRepository

SETTING = "retention"
MAX_RULES = 20
Days = Annotated[int, Field(ge=1, le=36_500)]
RuleName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(no_nul)
]


class RetentionRule(RequestBody):
    """A memory is archived if it meets all conditions of the rule, or if it is over the cap of the rule."""

    name: RuleName = Field(description="Unique in the policy. Runs and the history of a memory name the rule.")
    kinds: list[Kind] | None = Field(None, min_length=1, description="Only these kinds. Defaults to all.")
    roles: list[Role] | None = Field(None, min_length=1, description="Only what these roles said. Defaults to all.")
    older_than_days: Days | None = Field(None, description="Created longer ago than this.")
    unused_for_days: Days | None = Field(None, description="Not recalled for so long, nor created since.")
    importance_below: float | None = Field(
        None, gt=0, le=1, description="With an importance below this. A memory without an importance never is."
    )
    max_memories: int | None = Field(
        None,
        ge=0,
        le=10**9,
        description="A cap: beyond so many memories, the least important are archived, of these those unused longest.",
    )
    per: Literal["project", "user"] = Field("project", description="Whether the cap counts per project or per user.")
    delete_after_days: Days | None = Field(
        None, description="Delete what the rule archived after so many days. Null keeps it archived."
    )

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        conditions = (self.older_than_days, self.unused_for_days, self.importance_below)
        has_condition = any(each is not None for each in conditions)
        if self.max_memories is None and not has_condition:
            raise ValueError(
                "would archive every memory at once. Send older_than_days, unused_for_days, importance_below or"
                " max_memories"
            )
        if self.max_memories is not None and has_condition:
            raise ValueError("has a cap and other conditions. Write one rule for max_memories and one for the others")
        if self.max_memories is None and "per" in self.model_fields_set:
            raise ValueError("has `per` without max_memories. Send both, or neither")
        return self


class RetentionPolicy(RequestBody):
    rules: list[RetentionRule] = Field(max_length=MAX_RULES)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = Counter(rule.name for rule in self.rules)
        if repeated := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"has several rules with the name {repeated[0]!r}. Give each rule its own name")
        return self


class StoredPolicy(RetentionPolicy):
    updated_at: dt.datetime | None = Field(None, description="Null if the project has no policy.")


async def load_policy(tx: AsyncSession, project_id: UUID) -> StoredPolicy:
    settings = await SettingsRepository(tx, project_id).get()
    return StoredPolicy.model_validate(settings.get(SETTING) or {"rules": []})


async def store_policy(tx: AsyncSession, project_id: UUID, policy: RetentionPolicy) -> StoredPolicy:
    stored = StoredPolicy(rules=policy.rules, updated_at=dt.datetime.now(dt.UTC))
    dumped = stored.model_dump(mode="json", exclude_defaults=True)
    await SettingsRepository(tx, project_id).change(**{SETTING: dumped})
    return stored
