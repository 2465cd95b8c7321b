from pathlib import Path

import publicsuffixlist
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.urls import (
    PACKAGED_SUFFIXES,
    load_suffixes,
    read_urls,
    registered_domains,
    spell_host,
)

VECTORS = Path(publicsuffixlist.__file__).with_name("test_psl.txt")


@pytest.fixture(scope="module")
def oracle():
    return publicsuffixlist.PublicSuffixList()


def domains(hosts, *, private=True):
    table = load_suffixes(PACKAGED_SUFFIXES, private=private)
    return registered_domains(pa.array(hosts, pa.large_string()), table).to_pylist()


def published_vectors():
    for line in VECTORS.read_text(encoding="utf-8").splitlines():
        if line.startswith("checkPublicSuffix('") and not line.startswith("checkPublicSuffix('."):
            host, _, domain = line[len("checkPublicSuffix(") : line.index(");")].partition(", ")
            yield host.strip("'"), None if domain == "null" else domain.strip("'")


def test_registered_domains_are_those_of_the_published_vectors():
    vectors = list(published_vectors())
    assert len(vectors) > 60
    hosts = read_urls(pa.array([f"http://{host}/" for host, _ in vectors])).hosts
    expected = [domain and spell_host(domain.lower())[0] for _, domain in vectors]
    assert domains(hosts.to_pylist()) == expected


LABELS = "com uk co org www a b ck foo jp kobe city io github kawasaki ab.ca xn--p1ai xn--p1acf"
labels = st.sampled_from(LABELS.split())


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(labels, min_size=1, max_size=6).map(".".join), max_size=5))
def test_registered_domains_are_those_of_another_reader(oracle, hosts):
    assert domains(hosts) == [oracle.privatesuffix(host) for host in hosts]


def test_addresses_and_nothing_have_no_registered_domain():
    assert domains(["192.0.2.1", "[::1]", "", "localhost", "github.io"]) == [None] * 5
    assert domains(["a.github.io", "x.9a"]) == ["a.github.io", "x.9a"]
    assert domains(["a.github.io"], private=False) == ["github.io"]


@pytest.mark.parametrize(
    ("host", "spelled"),
    [
        ("bücher.example", ("xn--bcher-kva.example", "bücher.example")),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example", "bücher.example")),
        ("\uff45xample\u3002com", ("example.com", "example.com")),
        ("straße.example", ("xn--strae-oqa.example", "straße.example")),
        ("😀.example", ("xn--e28h.example", "😀.example")),
        ("xn--zzzzzz99.example", ("xn--zzzzzz99.example", None)),
        ("0x7f.1", ("127.0.0.1", "127.0.0.1")),
        ("3232235521", ("192.168.0.1", "192.168.0.1")),
        ("0300.0250.0.01", ("192.168.0.1", "192.168.0.1")),
        ("1.2.3.4", ("1.2.3.4", "1.2.3.4")),
        ("[2001:DB8:0:0::1]", ("[2001:db8::1]", "[2001:db8::1]")),
        ("example.4chan", ("example.4chan", "example.4chan")),
    ],
)
def test_host_has_one_spelling(host, spelled):
    found = spell_host(host)
    assert found[0] == spelled[0]
    assert spelled[1] in (found[1], None)


@pytest.mark.parametrize(
    "host",
    ["1.2.3.256", "1.2.3.4.5", "256.1.1.1", "4294967296", "09.1", "[::g]", "[]", "é" * 300, "é..b",
     "é b.example", "é" * 64 + ".example"],
)  # fmt: skip
def test_what_cannot_be_a_host_is_none(host):
    assert spell_host(host) == ("", host)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=20))
def test_any_host_is_spelled_or_refused_and_spelled_once(host):
    spelled, _ = spell_host(host)
    assert spelled.isascii()
    if spelled:
        assert spell_host(spelled)[0] == spelled


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map("http://{}/".format)
    )
)
def test_urls_are_read_row_by_row(urls):
    whole = read_urls(pa.array(urls, pa.string()))
    for row, url in enumerate(urls):
        alone = read_urls(pa.array([url]))
        for column, single in zip(whole, alone, strict=True):
            assert column[row].as_py() == single[0].as_py()


def test_a_file_that_is_no_suffix_list_is_refused(tmp_path):
    (tmp_path / "list.dat").write_text("// nothing\norg\n")
    with pytest.raises(ValueError, match=r"list\.dat' is no Public Suffix List.*'com'"):
        load_suffixes(tmp_path / "list.dat", private=True)
