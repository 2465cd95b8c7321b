from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text import facts
from curation.text.fact_words import MONTHS, NEGATIONS
from curation.text.facts import find_facts, kept_facts
from tests.text.strategies import texts

PIECES = (
    "September", "may", "May", " ", ", ", "  ", "3", "13th", "2019", "20190", " de ", "of", "x" * 9,
    "2024-05-13", "1.2.2003", "/", "-", ".", "word ", "\n",
)  # fmt: skip


def kept(parent, child, language="en"):
    return kept_facts(parent, child, language)


@given(texts | st.text(st.sampled_from("0123456789.,-/ MayJune\u0664"), max_size=40))
def test_a_text_keeps_all_that_it_claims(text):
    assert all(value in (None, 1.0) for value in kept(text, text))


@given(texts, texts, st.sampled_from([*NEGATIONS, None]))
def test_shares_are_shares(parent, child, language):
    assert all(value is None or 0 <= value <= 1 for value in kept(parent, child, language))


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("1,000", "1.000"), ("1,234,567", "1.234.567"), ("3.5", "3,5"), ("1,234.5", "1.234,5"),
        ("1\u202f000", "1000"), ("٣٤", "34"), ("7", "7."), ("1'000.25", "1000,25"),
    ],
)  # fmt: skip
def test_numbers_are_the_same_however_they_are_written(written, same):
    assert kept(f"It costs {written} here.", f"Here it costs {same} .").numbers == 1


@pytest.mark.parametrize(
    ("one", "other"), [("35", "3.5"), ("1000", "100"), ("1.2.3", "1.23"), ("5", "five")]
)
def test_other_numbers_are_lost(one, other):
    assert kept(f"It is {one} here.", f"It is {other} here.").numbers == 0


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2024-05-13", (2024, 5, 13)), ("13.5.2024", (2024, 5, 13)), ("5/13/2024", (2024, 5, 13)),
        ("13 May 2024", (2024, 5, 13)), ("May 13th, 2024", (2024, 5, 13)),
        ("13. Mai 2024", (2024, 5, 13)), ("13 de mayo de 2024", (2024, 5, 13)),
        ("13 de maio de 2024", (2024, 5, 13)), ("13 maggio 2024", (2024, 5, 13)),
        ("1er août 2024", (2024, 8, 1)), ("March 1999", (1999, 3, 0)), ("Jun 5", (0, 6, 5)),
        ("5/6/2024", "5/6/2024"),
    ],
)  # fmt: skip
def test_dates_are_read_in_many_forms_and_are_no_numbers(written, date):
    found = find_facts(f"It was on {written} that it began.")
    assert dict(found.dates) == {date: 1}
    assert not found.numbers


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_looking_near_figures_alone_finds_every_date(text):
    anywhere: Counter = Counter()
    facts._DATES.sub(lambda found: facts._take_date(found, anywhere), text)
    assert find_facts(text).dates == anywhere


@pytest.mark.parametrize("text", ["you may 2 of them", "in 45 may cases", "1.2.3", "v2024-99-1"])
def test_what_looks_like_a_date_is_none(text):
    assert not find_facts(text).dates


def test_every_language_has_twelve_months():
    assert {len(names.split()) for names in MONTHS.values()} == {12}


def test_names_are_capitals_inside_of_sentences_and_acronyms():
    found = find_facts(
        "We met Marie Curie's group in Paris. Later the WHO came. Heart Failure Clinic\n"
        "Nobody knew O'Neill-Smith, but I did. DNA is long."
    )
    assert found.names == {"marie", "curie", "paris", "who", "o'neill-smith", "dna"}


def test_names_count_once_and_may_begin_a_sentence_of_the_child():
    assert kept("It was Smith, and Smith again, in Rome.", "Smith it was.").names == 0.5


def test_german_nouns_are_no_names():
    text = "Wir sahen den Hund und das Haus."
    assert find_facts(text, "de").names == frozenset()
    assert find_facts(text, "nl").names == {"hund", "haus"}


@pytest.mark.parametrize(
    ("language", "said", "denied"),
    [
        ("en", "It does work, and we can go.", "It doesn't work, and we cannot go."),
        ("de", "Das geht, und er hat Zeit.", "Das geht nicht, und er hat keine Zeit."),
        ("fr", "Il travaille avec elle.", "Il ne travaille sans elle."),
        ("es", "Va con ella siempre.", "Nunca va sin ella."),
        ("pt", "Ele vai com ela.", "Ele não vai sem ela."),
        ("it", "Lui va con lei.", "Lui non va senza lei."),
        ("nl", "Hij gaat met haar.", "Hij gaat niet zonder haar."),
    ],
)
def test_negations_are_counted_and_one_too_many_is_as_wrong(language, said, denied):
    assert find_facts(said, language).negations == 0
    assert find_facts(denied, language).negations == 2
    assert kept(said, denied, language).negations == kept(denied, said, language).negations == 0
    assert kept(said, said, language).negations is None


def test_a_language_without_a_list_has_no_count():
    assert kept("Он не знает.", "Он знает.", "ru").negations is None
