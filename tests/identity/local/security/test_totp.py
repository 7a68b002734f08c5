"""RFC 6238 with its own examples. The RFC prints eight digits; the last six are the code of six digits."""

import base64

import pytest

from app.identity.local.security.totp import code_at, find_step, new_secret

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert code_at(RFC_SECRET, seconds // 30) == code
    assert find_step(RFC_SECRET, code, seconds) == seconds // 30


def test_clock_may_be_one_period_off() -> None:
    secret = new_secret()
    code = code_at(secret, 1000)
    found = [find_step(secret, code, (1000 + steps) * 30 + 29) for steps in (-2, -1, 0, 1, 2)]
    assert found == [None, 1000, 1000, 1000, None]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12 456", "\uff11\uff12\uff13\uff14\uff15\uff16", "abcdef"])
def test_other_texts_are_no_codes(code: str) -> None:
    assert find_step(RFC_SECRET, code, 59) is None


def test_secret_without_padding_is_read() -> None:
    """Supabase's secrets have 32 letters; those of other systems may have any number."""
    short = base64.b32encode(b"1234567890123456").decode()
    assert code_at(short.rstrip("=").lower(), 1) == code_at(short, 1)
