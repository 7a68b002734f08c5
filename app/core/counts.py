def count_of(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun: "1 memory", "2 memories". `several` is `one` with an s, if it is not given."""
    return f"{count} {one if count == 1 else several or one + 's'}"
