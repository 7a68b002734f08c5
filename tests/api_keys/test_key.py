import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api_keys.key import ALPHABET, hash_key, make_key, parse_key

KEY_LENGTH = len(make_key().whole)
positions = st.integers(0, KEY_LENGTH - 1)


@given(st.none() | st.text(ALPHABET, min_size=12, max_size=12).map("ks_{}".format))
def test_generated_key_can_be_parsed(prefix: str | None) -> None:
    key = make_key(prefix)
    assert parse_key(key.whole) == key
    assert key.whole.startswith(f"{key.prefix}_")
    assert prefix in (None, key.prefix)


def test_generated_keys_are_unique() -> None:
    assert len({make_key().whole for _ in range(1000)}) == 1000


@given(positions, st.sampled_from(ALPHABET + "_-é \n\x00"))
def test_checksum_detects_a_changed_character(position: int, other: str) -> None:
    whole = make_key().whole
    changed = whole[:position] + other + whole[position + 1 :]
    assert (parse_key(changed) is None) == (changed != whole)


@given(positions, st.text(max_size=3))
def test_key_with_missing_or_extra_characters_is_refused(position: int, more: str) -> None:
    whole = make_key().whole
    for changed in (whole[:position], whole + more, more + whole, whole[:position] + more + whole[position:]):
        assert (parse_key(changed) is None) == (changed != whole)


@given(st.text(max_size=80))
def test_random_text_is_not_a_key(anything: str) -> None:
    assert parse_key(anything) is None
    assert parse_key(f"ks_{anything}") is None


@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_key_hash_depends_on_the_pepper_and_the_key(one: bytes, two: bytes) -> None:
    key, another = make_key().whole, make_key().whole
    # HMAC pads a short key with zero bytes, so zero bytes at its end make no difference.
    assert (hash_key(key, one) == hash_key(key, two)) == (one.rstrip(b"\0") == two.rstrip(b"\0"))
    assert hash_key(key, one) != hash_key(another, one)


@pytest.mark.parametrize("render", [repr, str])
def test_key_is_not_part_of_its_representation(render: object) -> None:
    key = make_key()
    assert callable(render)
    assert key.whole not in render(key)
    assert key.prefix in render(key)
