import pytest

from app.adapters.models.multilingual.latin_letters import in_latin_letters

SPELLINGS = {
    "plain": ("I live in Rome", "I live in Rome"),
    "greek": ("Η Ελλάδα και ο Μπομπ", "I Ellada kai o Bob"),  # noqa: RUF001  # the letters are Greek
    "greek letters that are no pair": ("Πάνθερς", "Panthers"),
    "hindi": ("हिन्दी नॉर्मन", "hindi norman"),
    "digits": ("१९४७", "1947"),
    "romanian": ("Orașul și țara", "Orasul si tara"),
    "known": ("Привет, 東京, Straße", "Привет, 東京, Straße"),  # the letters are Cyrillic
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_words_of_unknown_scripts_are_spelled_in_latin_letters(name: str) -> None:
    text, spelled = SPELLINGS[name]
    assert in_latin_letters(text) == spelled
