"""Figures about the shape of the code: `python -m bench.structure [CHECKOUT]` prints them for any checkout.

Compare two versions with `git worktree add ../before REVISION` and one run for each.
"""

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SQL_CONSTANT = re.compile(r"_?[A-Z]+(_[A-Z0-9]+)+_SQL")
MEMORY_COLUMNS = {"agent_id", "app_id", "run_id", "immutable", "expires_on", "categories", "importance", "context"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(folder: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}


def shared_class_names(trees: dict[Path, ast.Module]) -> int:
    names = Counter(node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return sum(count > 1 for count in names.values())


def sql_constants(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for tree in trees.values():
        for node in tree.body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            if ast.unparse(node.value.func) == "text":
                yield ast.unparse(node.targets[0])


def largest_folder(trees: dict[Path, ast.Module]) -> tuple[Path, int]:
    [found] = Counter(path.parent for path in trees if path.name != "__init__.py").most_common(1)
    return found


def functions(trees: dict[Path, ast.Module]) -> Iterator[Function]:
    for tree in trees.values():
        yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def field_lists(trees: dict[Path, ast.Module]) -> list[str]:
    """Files of the app in which several columns of a memory are written out by hand, close to each other."""
    found = []
    for path in trees:
        lines = path.read_text().splitlines()
        windows = ("\n".join(lines[start : start + 25]) for start in range(0, len(lines), 5))
        if any(sum(bool(re.search(rf"\b{name}\b", window)) for name in MEMORY_COLUMNS) >= 5 for window in windows):
            found.append(path.name)
    return found


def architecture_cases(root: Path) -> int:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "tests/test_architecture.py",
    ]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout
    return sum("::" in line for line in printed.splitlines())


def main(root: Path) -> None:
    trees = parse(root / "app")
    constants = list(sql_constants(trees))
    folder, files = largest_folder(trees)
    lengths = sorted(map(lines_of, functions(trees)))
    bare = [name for name in constants if not SQL_CONSTANT.fullmatch(name)]
    print(f"classes that share a name            {shared_class_names(trees)}")
    print(f"SQL constants without the right form {len(bare)} of {len(constants)}")
    print(f"largest folder                       {files} files in {folder.relative_to(root)}")
    print(f"files that list a memory's columns   {len(field_lists(trees))}")
    print(f"architecture cases                   {architecture_cases(root)}")
    print(
        f"functions                            {len(lengths)}, median {statistics.median(lengths):.0f} lines,", end=" "
    )
    print(f"p95 {lengths[int(len(lengths) * 0.95)]}, largest {lengths[-1]}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
