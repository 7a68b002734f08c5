from pydantic import BaseModel


class Done(BaseModel):
    """A response without an object. The body is not empty, because mem0's clients parse every success as JSON."""

    message: str
