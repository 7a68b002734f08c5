"""The request and the response of /graphql, as GraphQL over HTTP describes them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class GraphqlRequest(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    query: Annotated[str, StringConstraints(min_length=1, max_length=100_000)] = Field(
        description="One query or mutation. The schema is in docs/schema.graphql."
    )
    variables: dict[str, Any] | None = None
    operation_name: str | None = Field(None, alias="operationName", max_length=500)
    extensions: Any = Field(None, description="Accepted without effect.", exclude=True)


class GraphqlErrorExtensions(BaseModel):
    code: str
    status: int = Field(description="The status that the same request has on its own route.")
    request_id: str


class GraphqlProblem(BaseModel):
    message: str
    path: list[str | int] | None = Field(None, description="The field that failed. The others were carried out.")
    extensions: GraphqlErrorExtensions


class GraphqlResponse(BaseModel):
    data: dict[str, Any] | None
    errors: list[GraphqlProblem] | None = None
