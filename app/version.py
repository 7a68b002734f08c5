"""The version of Keepsake. `pyproject.toml` defines it; an installed wheel carries it in its metadata."""

import tomllib
from importlib.metadata import version
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
DISTRIBUTION = "keepsake"


def read_version() -> str:
    """The checkout comes first: its environment may also hold an older wheel."""
    if PYPROJECT.exists():
        project = tomllib.loads(PYPROJECT.read_text()).get("project", {})
        if project.get("name") == DISTRIBUTION:
            return str(project["version"])
    return version(DISTRIBUTION)


VERSION = read_version()
