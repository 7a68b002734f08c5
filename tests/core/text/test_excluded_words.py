import pytest

from app.core.text.excluded_words import contains_term, read_terms


@pytest.mark.parametrize(
    ("excludes", "sentence", "left_out"),
    [
        pytest.param("salary", "My salary is 3100 euros", True, id="word"),
        pytest.param("salaries", "My salary is 3100 euros", True, id="plural"),
        pytest.param("salary", "I earn 3100 euros", True, id="said without the word"),
        pytest.param("phone number, salary", "My phone number is 555", True, id="second word"),
        pytest.param("phone number", "My house number is 7", False, id="only a general word"),
        pytest.param("health and religion", "I live in Lisbon", False, id="nothing"),
        pytest.param("Gehalt oder Adresse", "Mein Gehalt ist 3100 Euro", True, id="german"),
        pytest.param("", "My salary is 3100 euros", False, id="empty"),
    ],
)
def test_sentence_with_all_words_of_a_term_is_left_out(excludes: str, sentence: str, left_out: bool) -> None:
    assert contains_term(sentence, read_terms(excludes) or []) is left_out


def test_instruction_in_a_sentence_is_no_list_of_words() -> None:
    assert read_terms("Everything that a doctor might have said") is None
