import pytest

from app.identity.local.mail.redirects import choose_redirect
from app.identity.local.settings import IdentitySettings
from tests.identity.local.conftest import ISSUER, SECRET


@pytest.mark.parametrize(
    ("requested", "allowed"),
    [
        ("http://app.test/welcome", True),
        ("https://other.test/exact", True),
        ("https://deep.test/any/where", True),
        ("https://one.wild.test/", True),
        ("https://one.wild.test", True),
        ("https://open.test", True),
        ("https://open.test/any/where", True),
        ("https://open.test.evil.test/", False),
        ("https://open.test@evil.test/", False),
        ("https://open.test:1/", False),
        ("https://evil.test/", False),
        ("http://deep.test/any/where", False),
        ("https://evil.test/.wild.test/", False),
        ("https://evil.test?.wild.test/", False),
        ("https://evil.test#.wild.test/", False),
        ("https://evil.test\\.wild.test/", False),
        ("https://evil.test\t.wild.test/", False),
        ("http://app.test@evil.test/", False),
        ("http://app.test.evil.test/", False),
        ("http://app.test\\@evil.test/", False),
        ("//evil.test/", False),
        ("javascript:alert(1)", False),
        ("https://[", False),
        ("", False),
        (None, False),
    ],
)
def test_redirects_lead_to_allowed_urls_only(requested: str | None, allowed: bool) -> None:
    redirects = ("https://other.test/exact", "https://deep.test/*", "https://*.wild.test/*", "https://open.test*")
    settings = IdentitySettings(ISSUER, "http://app.test", SECRET, redirect_urls=redirects)
    assert choose_redirect(settings, requested) == (requested if allowed else "http://app.test")
