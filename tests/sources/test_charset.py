import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.charset import decode, standard_name

GERMAN = "Grüße aus Köln: hübsche Häuser, schöne Straßen und größere Plätze. " * 4
RUSSIAN = "Привет, это проверка кодировки русского текста на странице. " * 4
JAPANESE = "これは日本語の文章です。文字コードを調べます。" * 4
KOREAN = "안녕하세요. 이것은 한국어 문장입니다. 똠방각하 펲시콜라." * 4


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("UTF8", "utf-8"),
        ("latin1", "windows-1252"),
        (" 'ISO-8859-1' ", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("gb2312", "gbk"),
        ("EUC-KR", "euc-kr"),
        ("cp949", "euc-kr"),
        ("x-sjis", "shift_jis"),
        ("ISO-8859-15", "iso-8859-15"),
        ("utf-7", None),
        ("rot13", None),
        ("zlib", None),
        ("idna", None),
        ("", None),
        ("\0", None),
    ],
)
def test_labels_are_those_of_the_encoding_standard(label, name):
    assert standard_name(label) == name


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        (GERMAN, "latin-1", "windows-1252"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (JAPANESE, "cp932", "shift_jis"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (KOREAN, "cp949", "euc-kr"),
        (GERMAN, "utf-16-le", "utf-16le"),
        (GERMAN, "utf-16-be", "utf-16be"),
    ],
)
def test_charset_is_taken_from_the_header_or_detected(text, codec, name):
    assert decode(text.encode(codec), name) == (text, name, "http", 0)
    assert decode(text.encode(codec)) == (text, name, "detected", 0)


@pytest.mark.parametrize(
    ("markup", "name"),
    [
        ("<meta charset='koi8-r'>", "koi8-r"),
        ("<META http-equiv=Content-Type content='text/html; charset=koi8-r'>", "koi8-r"),
        ("<?xml version='1.0' encoding='koi8-r'?>", "koi8-r"),
    ],
)
def test_charset_is_taken_from_the_page(markup, name):
    text = f"{markup}<p>{RUSSIAN}"
    assert decode(text.encode("koi8-r"), markup=True) == (text, name, "meta", 0)


def test_meta_is_not_looked_for_in_plain_text():
    text = f"<meta charset=koi8-r> {GERMAN}"
    assert decode(text.encode()).found_by == "valid"


def test_header_outranks_the_page_and_a_mark_outranks_both():
    page = f"<meta charset=koi8-r>{GERMAN}"
    assert decode(page.encode("latin-1"), "latin1", markup=True).found_by == "http"
    marked = decode(b"\xef\xbb\xbf" + page.encode(), "latin1", markup=True)
    assert marked == (page, "utf-8", "bom", 0)
    assert decode(b"\xff\xfe" + page.encode("utf-16-le")).text == page


def test_page_that_claims_utf16_in_ascii_letters_is_utf8():
    page = f"<meta charset=utf-16>{GERMAN}"
    assert decode(page.encode(), markup=True) == (page, "utf-8", "meta", 0)


def test_unknown_label_is_passed_over():
    assert decode(GERMAN.encode(), "x-unknown-99").found_by == "valid"


def test_undecodable_bytes_become_replacement_characters_and_are_counted():
    found = decode(b"caf\xc3\xa9 \xc3\xa9 \xc3\xa9 \xff \xef\xbf\xbd", "utf-8")
    assert found == ("café é é \ufffd \ufffd", "utf-8", "http", 1)


def test_declaration_that_most_characters_contradict_is_wrong():
    assert decode(GERMAN.encode("latin-1"), "utf-8") == (GERMAN, "windows-1252", "detected", 0)


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "gbk", "utf-16", "iso-2022-jp"]))
def test_any_bytes_become_text_that_can_be_stored(data, declared):
    found = decode(data, declared, markup=True)
    found.text.encode("utf-8")
    assert found.undecodable <= found.text.count("\ufffd")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_utf8_is_never_mistaken(text):
    assert decode(text.encode(), "utf-8").text == text.removeprefix("\ufeff")
