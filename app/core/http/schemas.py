from pydantic import BaseModel


class Done(BaseModel):
    """The answer where there is nothing to show. Never an empty body: mem0's clients parse every success as JSON."""

    message: str
