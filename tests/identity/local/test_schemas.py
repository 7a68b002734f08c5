import pytest

from app.identity.local.errors import IdentityError
from app.identity.local.schemas import read_duration, read_email


@pytest.mark.parametrize(
    ("email", "valid"),
    [
        ("Ada.Lovelace+notes@Example.com", True),
        ("ada@localhost", True),
        ("ada@home.internal", True),
        ("ada", False),
        ("@example.com", False),
        ("ada@", False),
        ("ada@@example.com", False),
        ("ada@-example.com", False),
        ("ada@example..com", False),
        ("ada@exämple.com", False),
        ("ada@example.com\n", False),
        ("a" * 65 + "@example.com", False),
        ("a@" + "b." * 130 + "com", False),
        ("", False),
        (None, False),
    ],
)
def test_email_addresses_are_read_like_gotrue(email: str | None, valid: bool) -> None:
    if valid and email:
        assert read_email(email) == email.lower()
    else:
        with pytest.raises(IdentityError) as refused:
            read_email(email)
        assert refused.value.code == "validation_failed"


@pytest.mark.parametrize(("text", "hours"), [("24h", 24), ("1h30m", 1.5), ("3600s", 1), ("none", None)])
def test_durations_are_read_in_the_format_of_go(text: str, hours: float | None) -> None:
    length = read_duration(text)
    assert (length.total_seconds() / 3600 if length else None) == hours
