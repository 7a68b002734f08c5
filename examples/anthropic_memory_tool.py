"""Claude's memory tool (`memory_20250818`) with its files in Keepsake instead of on a disk.

Run it with an API key, see README.md. `.venv` of a development setup contains Anthropic's client; elsewhere
`pip install anthropic` installs it.

    .venv/bin/python examples/anthropic_memory_tool.py

In your application, give the tool to Claude: `claude.beta.messages.tool_runner(tools=[KeepsakeMemoryTool(…)], …)`.
"""

import os

import anthropic
from anthropic.lib.tools import BetaAbstractMemoryTool, ToolError
from anthropic.types.beta import (
    BetaMemoryTool20250818CreateCommand,
    BetaMemoryTool20250818DeleteCommand,
    BetaMemoryTool20250818InsertCommand,
    BetaMemoryTool20250818RenameCommand,
    BetaMemoryTool20250818StrReplaceCommand,
    BetaMemoryTool20250818ViewCommand,
)
from anthropic.types.beta.memory_stores import BetaManagedAgentsMemory

ROOT = "/memories"


class KeepsakeMemoryTool(BetaAbstractMemoryTool):
    """The files below /memories are the memories of one store."""

    def __init__(self, keepsake: anthropic.Anthropic, store_id: str) -> None:
        super().__init__()
        self._memories = keepsake.beta.memory_stores.memories
        self._store = store_id

    def view(self, command: BetaMemoryTool20250818ViewCommand) -> str:
        file = self._find(command.path)
        if file is not None:
            lines = self._read(file).split("\n")
            first, last = command.view_range or (1, -1)
            shown = lines[max(first, 1) - 1 : len(lines) if last == -1 else last]
            numbered = [f"{number:6}\t{line}" for number, line in enumerate(shown, start=max(first, 1))]
            return "\n".join([f"Here's the content of {command.path} with line numbers:", *numbered])
        files = self._below(command.path)
        if not files and command.path.rstrip("/") != ROOT:
            raise ToolError(f"The path {command.path} does not exist. Please provide a valid path.")
        listed = [f"{each.content_size_bytes}\t{ROOT}{each.path}" for each in files]
        return "\n".join([f"Here're the files in {command.path}:", *listed])

    def create(self, command: BetaMemoryTool20250818CreateCommand) -> str:
        path = inner_path(command.path)
        try:
            self._memories.create(self._store, path=path, content=command.file_text)
        except anthropic.ConflictError:
            raise ToolError(f"File {command.path} already exists") from None
        except anthropic.BadRequestError as error:
            raise ToolError(error.message) from None
        return f"File created successfully at: {command.path}"

    def str_replace(self, command: BetaMemoryTool20250818StrReplaceCommand) -> str:
        file = self._get(command.path)
        content = self._read(file)
        if content.count(command.old_str) != 1:
            raise ToolError(
                f"No replacement was performed: old_str appears {content.count(command.old_str)} times in"
                f" {command.path}. It must appear exactly once."
            )
        self._write(file, content.replace(command.old_str, command.new_str))
        return "The memory file has been edited."

    def insert(self, command: BetaMemoryTool20250818InsertCommand) -> str:
        file = self._get(command.path)
        lines = self._read(file).split("\n")
        if not 0 <= command.insert_line <= len(lines):
            raise ToolError(f"Invalid `insert_line`: {command.insert_line}. It must be from 0 to {len(lines)}.")
        lines.insert(command.insert_line, command.insert_text.rstrip("\n"))
        self._write(file, "\n".join(lines))
        return f"The file {command.path} has been edited."

    def delete(self, command: BetaMemoryTool20250818DeleteCommand) -> str:
        if command.path.rstrip("/") == ROOT:
            raise ToolError(f"Cannot delete the {ROOT} directory itself")
        file = self._find(command.path)
        files = [file] if file is not None else self._below(command.path)
        if not files:
            raise ToolError(f"The path {command.path} does not exist")
        for each in files:
            self._memories.delete(each.id, memory_store_id=self._store)
        return f"Successfully deleted {command.path}"

    def rename(self, command: BetaMemoryTool20250818RenameCommand) -> str:
        if self._find(command.new_path) is not None or self._below(command.new_path):
            raise ToolError(f"The destination {command.new_path} already exists")
        file = self._find(command.old_path)
        files = [file] if file is not None else self._below(command.old_path)
        if not files:
            raise ToolError(f"The path {command.old_path} does not exist")
        old, new = inner_path(command.old_path), inner_path(command.new_path)
        for each in files:
            self._memories.update(each.id, memory_store_id=self._store, path=new + each.path.removeprefix(old))
        return f"Successfully renamed {command.old_path} to {command.new_path}"

    def _below(self, path: str) -> list[BetaManagedAgentsMemory]:
        prefix = f"{inner_path(path)}/"
        listed = self._memories.list(self._store, path_prefix=prefix, limit=100)
        return [each for each in listed if each.type == "memory"]

    def _find(self, path: str) -> BetaManagedAgentsMemory | None:
        """The file at this path. The list of its directory says its id."""
        inner = inner_path(path)
        if not inner:
            return None
        directory = inner.rsplit("/", 1)[0]
        listed = self._memories.list(self._store, path_prefix=f"{directory}/", depth=1, limit=100)
        return next((each for each in listed if each.type == "memory" and each.path == inner), None)

    def _get(self, path: str) -> BetaManagedAgentsMemory:
        file = self._find(path)
        if file is None:
            raise ToolError(f"The path {path} does not exist. Please provide a valid path.")
        return file

    def _read(self, file: BetaManagedAgentsMemory) -> str:
        return self._memories.retrieve(file.id, memory_store_id=self._store).content or ""

    def _write(self, file: BetaManagedAgentsMemory, content: str) -> None:
        """Refused if another conversation has changed the file since it was read."""
        unchanged = {"type": "content_sha256", "content_sha256": file.content_sha256}
        try:
            self._memories.update(file.id, memory_store_id=self._store, content=content, precondition=unchanged)
        except (anthropic.ConflictError, anthropic.BadRequestError) as error:
            raise ToolError(error.message) from None


def inner_path(path: str) -> str:
    """The path in the store: without /memories, and without a slash at the end."""
    if path != ROOT and not path.startswith(f"{ROOT}/"):
        raise ToolError(f"Path must start with {ROOT}, got: {path}")
    return path.removeprefix(ROOT).rstrip("/")


def main() -> None:
    """What Claude would ask of the tool in two conversations."""
    keepsake = anthropic.Anthropic(
        base_url=os.environ.get("KEEPSAKE_URL", "http://127.0.0.1:8000"), api_key=os.environ["KEEPSAKE_API_KEY"]
    )
    store = keepsake.beta.memory_stores.create(name="Assistant of Anna")
    tool = KeepsakeMemoryTool(keepsake, store.id)
    notes, travel = f"{ROOT}/notes.md", f"{ROOT}/travel/notes.md"
    for command in (
        {"command": "create", "path": notes, "file_text": "Anna lives in Lisbon.\nShe likes tea."},
        {"command": "str_replace", "path": notes, "old_str": "Lisbon", "new_str": "Porto"},
        {"command": "insert", "path": notes, "insert_line": 1, "insert_text": "She works as a pilot."},
        {"command": "rename", "old_path": notes, "new_path": travel},
        {"command": "view", "path": ROOT},
        {"command": "view", "path": travel},
        {"command": "delete", "path": f"{ROOT}/travel"},
        {"command": "view", "path": ROOT},
    ):
        print(tool.call(command))
    keepsake.beta.memory_stores.delete(store.id)


if __name__ == "__main__":
    main()
