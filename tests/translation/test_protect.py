import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.translation.protect import marked, pieces, protected

SPANS = """https://example.org/a?b=1 www.example.org me@example.org `a` <b> &amp; {name} %s
    %(count)d $HOME [EMAIL] [12] /usr/share/doc ../a/b C:\\Windows\\x --max-length -n printf() ls(1)
    max_length std::string camelCase B12 COVID-19 3D $$x^2$$ \\(a\\) \\alpha ${X} {{user}}
    urn:isbn:1 ~/.bashrc P<0.0001 >140 \u22652 MCV AST/ALT""".split()  # noqa: SIM905
NUMBERS = ["12", "5,600.00", "2024-05-01", "10:30", "3/4", "$5", "10%", "-7", "1990\u20131995"]
WORDS = ["the", "patient", "has", "X1", "Z2", "und", "é", "-", "(", ")", ".", ",", "I/O", "and/or"]
sentences = st.lists(st.sampled_from([*SPANS, *NUMBERS, *WORDS]) | st.text(max_size=8)).map(
    " ".join
)


@pytest.mark.parametrize("span", SPANS)
def test_hard_spans_are_protected_as_a_whole(span: str) -> None:
    text = f"The value {span} is here."
    assert span in [text[a:b] for a, b in protected(text, numbers=False)]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_protected_if_asked(number: str) -> None:
    text = f"The value {number} is here."
    assert [text[a:b] for a, b in protected(text, numbers=True)] == [number]
    assert not list(protected(text, numbers=False))


@pytest.mark.parametrize("text", ["He said: no.", "well-known", "and/or", "the end.", "(see also)"])
def test_plain_words_are_not(text: str) -> None:
    assert not list(protected(text, numbers=True))


def test_headings_in_capitals_are_words() -> None:
    assert not protected("RETURN VALUE OF THE CALL", numbers=True)


@given(sentences, st.booleans())
def test_an_identity_translation_restores_everything(sentence, numbers):
    found = marked(sentence, numbers=numbers)
    assert found.restored(found.text) == sentence


@given(sentences)
def test_pieces_are_the_sentence_and_keep_all_spans(sentence):
    found = pieces(sentence)
    assert "".join(text for _, text in found) == sentence
    spans = [sentence[a:b] for a, b in protected(sentence, numbers=True)]
    kept = [text for translate, text in found if not translate]
    assert all(span in kept for span in spans if span)
    assert all(text == text.strip() for translate, text in found if translate)


@pytest.mark.parametrize(
    "garbled",
    ["See X1.", "See X1 and X2 and X2.", "See X1 and X3.", "See X1, X2, 7.", "See X1 and X22.", ""],
)
def test_a_lost_or_new_mark_or_number_is_seen(garbled: str) -> None:
    found = marked("See https://a.org and me@example.org.", numbers=False)
    assert found.text == "See X1 and X2."
    assert found.restored(garbled) is None


def test_a_changed_number_is_seen() -> None:
    found = marked("It costs 5,600.00 now.", numbers=False)
    assert found.restored("It now costs 5,600.00.") == "It now costs 5,600.00."
    assert found.restored("It now costs 5.600.00.") is None
    assert found.restored("It now costs money.") is None


def test_marks_may_change_their_order() -> None:
    found = marked("{a} before {b}", numbers=False)
    assert found.restored("X2 after X1") == "{b} after {a}"


def test_marks_are_none_of_the_sentences_own_words() -> None:
    found = marked("X1 is {a}, Z9 is not.", numbers=False)
    assert not {"X1", "Z1"} & set(found.marks[1:])
    assert found.restored(found.text) == "X1 is {a}, Z9 is not."
