import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api_keys.key import ALPHABET, hash_key, make_key, parse_key

KEY_LENGTH = len(make_key().whole)
places = st.integers(0, KEY_LENGTH - 1)


@given(st.none() | st.text(ALPHABET, min_size=12, max_size=12).map("ks_{}".format))
def test_every_key_that_is_made_is_read_again(prefix: str | None) -> None:
    key = make_key(prefix)
    assert parse_key(key.whole) == key
    assert key.whole.startswith(f"{key.prefix}_")
    assert prefix in (None, key.prefix)


def test_no_two_keys_are_alike() -> None:
    assert len({make_key().whole for _ in range(1000)}) == 1000


@given(places, st.sampled_from(ALPHABET + "_-é \n\x00"))
def test_a_single_changed_character_is_noticed(place: int, other: str) -> None:
    whole = make_key().whole
    changed = whole[:place] + other + whole[place + 1 :]
    assert (parse_key(changed) is None) == (changed != whole)


@given(places, st.text(max_size=3))
def test_a_key_is_nothing_but_the_key(place: int, more: str) -> None:
    whole = make_key().whole
    for changed in (whole[:place], whole + more, more + whole, whole[:place] + more + whole[place:]):
        assert (parse_key(changed) is None) == (changed != whole)


@given(st.text(max_size=80))
def test_whatever_else_is_no_key_and_no_error(anything: str) -> None:
    assert parse_key(anything) is None
    assert parse_key(f"ks_{anything}") is None


@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_the_hash_depends_on_the_pepper_and_the_key(one: bytes, two: bytes) -> None:
    key, another = make_key().whole, make_key().whole
    # HMAC fills a short key up with zeros, so those at its end make no difference.
    assert (hash_key(key, one) == hash_key(key, two)) == (one.rstrip(b"\0") == two.rstrip(b"\0"))
    assert hash_key(key, one) != hash_key(another, one)


@pytest.mark.parametrize("say", [repr, str])
def test_a_key_is_not_shown_by_accident(say: object) -> None:
    key = make_key()
    assert callable(say)
    assert key.whole not in say(key)
    assert key.prefix in say(key)
