import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.translation.layout import Sentence, find_parts, put_together

WINDOW = 80

MANUAL = """\
NAME
       exit - end the calling process

DESCRIPTION
       The  function  _exit()  terminates  the calling process at once.  Any
       open file descriptors that belong to it are closed. It is not  imple\u2010
       mented by the library but by the kernel.

           #include <unistd.h>
           void _exit(int status);

       * The first item of this list is here.
       * The second one is written below it.
"""


def _sentences(text: str, window: int = WINDOW * 10) -> list[str]:
    return [part.line for part in find_parts(text, window) if isinstance(part, Sentence)]


def _with(text: str, change) -> str:
    parts = find_parts(text, WINDOW * 10)
    return put_together(parts, [change(part.line) for part in parts if isinstance(part, Sentence)])


LINES = """A plain sentence with several words. And another one follows it, as they do.
    - a list item that is long enough to be one
    ``` ~~~ ~~~~ | a | b | c |
    > quoted text which somebody wrote before Mr. Hill came.
    1. First, one has to read the manual
    x = foo(bar); }
    broken to fit a width by a soft hyphen at its imple\u2010
    \x0b \x0c \u2028 \x00 \r""".split("\n")  # noqa: SIM905
texts = (
    st.lists(
        st.sampled_from([*LINES, *(line.strip() for line in LINES), "", " ", "\t", "\n", "\r\n"])
        | st.text(max_size=20)
    ).map("\n".join)
    | st.lists(
        st.sampled_from(["word", "words.", "End.Next", "a", "Mr.", "-", "co-", "imple\u2010"])
    ).map(" ".join)
    | st.lists(st.text("abc .-\u2010\n", min_size=30, max_size=90)).map("\n".join)
)


@given(texts, st.integers(80, 400))
def test_unchanged_sentences_leave_the_text_as_it_is(text, window):
    parts = find_parts(text, window)
    lines = [part.line for part in parts if isinstance(part, Sentence)]
    assert put_together(parts, lines) == text
    assert all(line == line.strip() and line for line in lines)
    assert all(len(line) <= window for line in lines)


@given(texts)
def test_what_is_no_sentence_stays_byte_for_byte(text):
    parts = find_parts(text, WINDOW)
    kept = [part for part in parts if isinstance(part, str)]
    assert put_together(parts, [""] * (len(parts) - len(kept))) == "".join(kept)


def test_a_manual_page() -> None:
    assert _sentences(MANUAL) == [
        "exit - end the calling process",
        "The function _exit() terminates the calling process at once.",
        "Any open file descriptors that belong to it are closed.",
        "It is not implemented by the library but by the kernel.",
        "The first item of this list is here.",
        "The second one is written below it.",
    ]


def test_a_translated_paragraph_is_wrapped_at_its_width() -> None:
    changed = _with(MANUAL, lambda line: line.replace("closed", "shut by the kernel, all of them"))
    assert "           #include <unistd.h>\n           void _exit(int status);\n" in changed
    lines = changed.splitlines()
    assert max(map(len, lines)) <= max(map(len, MANUAL.splitlines()))
    assert lines[4:9] == [
        "       The  function  _exit()  terminates  the calling process at once.  Any",
        "       open file descriptors that belong to it are shut by the kernel, all",
        "       of them. It is not implemented by the library but by the kernel.",
        "",
        "           #include <unistd.h>",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```\nThis is code, not a sentence of prose.\n```",
        "~~~~ text\nThis is code, not a sentence.\n~~~\nSo is this line of words.\n",
        "| name | 12 | 13 | 14 | 15 |",
        "int main(void) { return f(x[0], 12); }",
        "Two words",
        "",
        "add_key(2)          System Calls Manual          add_key(2)",
        "key_serial_t add_key(const char *type, const char *description,",
        "1990-01-01 12:00:00 [4711] 0x00 ab cd ef",
    ],
)
def test_what_is_not_translated(text: str) -> None:
    assert _sentences(text) == []


def test_items_within_a_line_are_sentences_without_their_marks() -> None:
    text = (
        "They depend on these: - The age of people. - The size (of it). \u2022 More words - here."
    )
    assert _sentences(text) == [
        "They depend on these:",
        "The age of people.",
        "The size (of it).",
        "More words - here.",
    ]


def test_text_behind_a_fence_is_translated_again() -> None:
    text = "```py\nx = 1\n```\nThis is a sentence again.\n"
    assert _sentences(text) == ["This is a sentence again."]


def test_verse_keeps_its_lines() -> None:
    verse = "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
    assert len(_sentences(verse)) == 2


def test_paragraphs_of_one_line_are_not_taken_for_wrapped_ones() -> None:
    text = "A paragraph of one line " * 9 + "ends here\nAnother one with several words"
    assert len(_sentences(text)) == 2
    assert (
        len(_sentences("This line ends a sentence, and is the longest.\nAnother one is here")) == 2
    )


def test_scripts_without_spaces_have_sentences() -> None:
    assert _sentences("这是一个句子。") == ["这是一个句子。"]


def test_a_long_sentence_is_cut_behind_a_clause() -> None:
    text = (
        "It rained for days and nights, so that nobody came; but then the sun shone upon all of us."
    )
    assert _sentences(text, 80) == [
        "It rained for days and nights, so that nobody came;",
        "but then the sun shone upon all of us.",
    ]
    assert len(_sentences("word " * 1000, 80)) == 63


def test_a_document_of_a_million_lines_takes_no_square_of_them() -> None:
    text = "a line of this paragraph which is as long as all of the others are\n" * 20_000
    assert len(_sentences(text, 400)) > 1000
