"""The lock files agree with pyproject.toml, every place shows one version, and the wheel contains what it needs."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from app.version import VERSION
from tests.e2e.server import KeepsakeServer, environment, processes_using

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [*RUNTIME, *map(Requirement, lines)]
    for name, lines in PROJECT["optional-dependencies"].items()
    if name != "dev"
}
DEVELOPMENT = [*RUNTIME, *map(Requirement, PROJECT["optional-dependencies"]["dev"])]
LOCKS = {
    "requirements.txt": RUNTIME,
    "requirements-dev.txt": DEVELOPMENT,
    **{f"deploy/requirements/{name}.txt": dependencies for name, dependencies in EXTRAS.items()},
}

each_lock = pytest.mark.parametrize("name", LOCKS)


# ---------------------------------------------------------------- lock files


def lock_entries(name: str) -> Iterator[tuple[Requirement, str]]:
    """Each package with the text that follows it, which holds its hashes."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", text.strip()):
        requirement, _, rest = entry.partition("\\\n")
        yield Requirement(requirement), rest


def pinned_versions(name: str) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for requirement, _ in lock_entries(name):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        found.setdefault(canonicalize_name(requirement.name), []).append(Version(specifier.version))
    return found


@each_lock
def test_every_locked_package_has_a_hash(name: str) -> None:
    entries = list(lock_entries(name))
    assert len(entries) > 100
    assert [str(requirement) for requirement, rest in entries if "--hash=sha256:" not in rest] == []


@each_lock
def test_lock_contains_every_dependency_within_its_bounds(name: str) -> None:
    pinned = pinned_versions(name)
    for dependency in LOCKS[name]:
        versions = pinned.get(canonicalize_name(dependency.name), [])
        assert versions, f"{dependency.name} is not in {name}: run `make lock`"
        assert all(dependency.specifier.contains(version) for version in versions), f"{dependency} in {name}"


@each_lock
def test_lock_supports_every_python_that_is_named(name: str) -> None:
    pythons = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith("Programming Language")]
    assert pythons == ["3.11", "3.12", "3.13"]
    for python in pythons:
        selected = [
            canonicalize_name(requirement.name)
            for requirement, _ in lock_entries(name)
            if requirement.marker is None
            or requirement.marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"})
        ]
        assert len(selected) == len(set(selected)), f"two versions of one package on Python {python}"
        assert {canonicalize_name(dependency.name) for dependency in LOCKS[name]} <= set(selected)


def test_development_lock_extends_the_runtime_lock() -> None:
    runtime, development = pinned_versions("requirements.txt"), pinned_versions("requirements-dev.txt")
    assert {name: development.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("name", EXTRAS)
def test_lock_of_an_extra_extends_the_runtime_lock(name: str) -> None:
    runtime, extended = pinned_versions("requirements.txt"), pinned_versions(f"deploy/requirements/{name}.txt")
    assert {package: extended.get(package) for package in runtime} == runtime


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    for dependency in {*DEVELOPMENT, *(each for extra in EXTRAS.values() for each in extra)}:
        assert sorted(bound.operator for bound in dependency.specifier) == ["<", ">="], str(dependency)


# ---------------------------------------------------------------- one version


def test_version_is_the_same_everywhere(app: FastAPI) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    label = re.search(r'image\.version="([^"]+)"', (ROOT / "Dockerfile").read_text())
    released = re.search(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert label
    assert released
    assert {
        PROJECT["version"],
        VERSION,
        app.openapi()["info"]["version"],
        compose["x-app"]["image"].removeprefix("keepsake:"),
        label[1],
        released[1],
    } == {VERSION}


def test_documentation_names_the_current_image() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {tag for page in pages for tag in re.findall(r"\bkeepsake:(\d[\w.]*\w)", page.read_text())}
    assert named == {VERSION}


def test_command_line_prints_the_version() -> None:
    command = [sys.executable, "-m", "app", "--version"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == f"keepsake {VERSION}\n"


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the backend of this environment, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--quiet"]
    built = subprocess.run([*command, "--wheel-dir", str(folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = folder.iterdir()
    return path


def test_wheel_contains_the_application_and_its_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    schema = {
        f"app/_supabase/{path.relative_to(ROOT / 'supabase').as_posix()}"
        for path in [*(ROOT / "supabase" / "migrations").glob("*.sql"), ROOT / "supabase" / "seed.sql"]
    }
    metadata = {name for name in names if name.startswith(f"keepsake-{VERSION}.dist-info/")}
    assert names - metadata == source | schema
    assert f"keepsake-{VERSION}.dist-info/licenses/LICENSE" in metadata
    assert any(name.endswith("model.onnx") for name in names)


@pytest.mark.long
def test_wheel_serves_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    packages = sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)})
    # The dependencies come from this environment; the application comes from the wheel alone.
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    install = [sys.executable, "-m", "pip", f"--python={home / 'bin' / 'python'}", "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    folder = tmp_path / "empty"
    folder.mkdir()
    keepsake = home / "bin" / "keepsake"
    version = subprocess.run([keepsake, "--version"], cwd=folder, capture_output=True, text=True)
    assert version.stdout == f"keepsake {VERSION}\n"

    settings = {name: value for name, value in environment(folder / "data").items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [keepsake, "serve", "--port", "0"],
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = KeepsakeServer(process)
    server.listen()
    try:
        assert server.address, server.output
        ready = server.wait_until_ready()
        assert ready["status"] == "ready", ready
    finally:
        if process.poll() is None:
            process.terminate()
        assert server.wait() == 0
    assert processes_using(folder) == []
    assert os.listdir(folder) == ["data"]
