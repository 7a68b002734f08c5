from pydantic import BaseModel, ConfigDict, Field


class LineProblemRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    line: int = Field(description="The line, or the place of the element in its list, counted from 1.")
    detail: str


class ImportReport(BaseModel):
    added: dict[str, int] = Field(description="New rows by type.")
    already_there: dict[str, int] = Field(description="Rows that existed and stay unchanged, by type.")
    skipped: dict[str, int] = Field(description="Lines that an import passes over, by type.")
    errors: list[LineProblemRead] = Field(description="The first 1,000 lines that were left out, each with the reason.")
    error_count: int = Field(description="How many lines were left out.")
    complete: bool = Field(description="False if the time did not suffice, or if the file was cut off.")
    next_line: int | None = Field(description="The first line that was not imported. Send the rest from there.")
