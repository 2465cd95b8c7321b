import gzip
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.errors import DriftError
from curation.segment import SegmentRun, Verdicts
from curation.stages.url_filter import UrlFilter
from tests.conftest import make_batch

BLOCK = """
# tiny
bad.example
||ads.example.org^
0.0.0.0 exact.example.net
http://www.Page.example/Some/Path/?q=1#x
||partial.example^$third-party
@@||good.bad.example^
*.xxx
bücher.example
192.0.2.7
github.io
"""
FILES = {
    "block": ("list", BLOCK),
    "allow": ("white.txt", "fine.bad.example\nhttps://bad.example/about\n"),
    "strict_words": ("strict.txt", "p-orn\n"),
    "hard_words": ("hard.txt", "EVIL\nдядя\n# x\nÉté # summer\n"),
    "soft_words": ("soft.txt", "casino\npoker\n42\n"),
}


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    for name, text in FILES.values():
        (folder / name).write_text(text, encoding="utf-8")
    return {setting: [str(folder / name)] for setting, (name, _) in FILES.items()}


def stage(lists, **options):
    return UrlFilter(kind="url_filter", **{**lists, **options})


def reasons(url_filter, urls):
    """The broken bounds of each URL, as the runner finds them."""
    batch = make_batch(["text"] * len(urls), url=urls)
    verdicts = Verdicts(len(urls))
    scored = SegmentRun((url_filter,), score_all=True).run(batch, verdicts)
    broken = [[] for _ in urls]
    for found in verdicts.breaks:
        for row in found.rows:
            broken[row].append(found.reason)
    return broken, scored.select(url_filter.writes().names).to_pylist()


@pytest.mark.parametrize(
    ("url", "reason", "match", "name"),
    [
        ("http://bad.example/", "blocked_domain", "bad.example", "list"),
        ("HTTPS://A.BAD.Example./x", "blocked_domain", "bad.example", "list"),
        ("http://x.y.ads.example.org", "blocked_domain", "ads.example.org", "list"),
        ("http://www.xn--bcher-kva.example/", "blocked_domain", "xn--bcher-kva.example", "list"),
        ("http://BÜCHER.example/", "blocked_domain", "xn--bcher-kva.example", "list"),
        ("http://b%C3%BCcher.example/", "blocked_domain", "xn--bcher-kva.example", "list"),
        ("http://3221225991/", "blocked_domain", "192.0.2.7", "list"),
        ("http://any.thing.xxx/", "blocked_domain", "xxx", "list"),
        ("http://me.github.io/", "blocked_domain", "github.io", "list"),
        ("http://u:p@bad.example:8080/", "blocked_domain", "bad.example", "list"),
        ("http://exact.example.net/a", "blocked_host", "exact.example.net", "list"),
        ("https://page.example/some/path?q=1", "blocked_url", "page.example/some/path?q=1", "list"),
        ("//page.example/Some/%50ath/?q=1", "blocked_url", "page.example/some/path?q=1", "list"),
        ("http://a.example/xPo-Rnx", "strict_words", "porn", "strict.txt"),
        ("http://p.o.r.n.example/", "strict_words", "porn", "strict.txt"),
        ("http://a.example/an-Evil_thing", "hard_words", "evil", "hard.txt"),
        ("http://a.example/%D0%94%D0%AF%D0%94%D0%AF", "hard_words", "дядя", "hard.txt"),
        ("http://xn--t-9fab.example/", "hard_words", "été", "hard.txt"),
        ("http://casino.example/?a=poker", "soft_words", "casino", "soft.txt"),
    ],
)  # fmt: skip
def test_each_rule_is_broken_by_its_own_url(lists, url, reason, match, name):
    [broken], [scores] = reasons(stage(lists), [url])
    assert broken == [reason]
    assert (scores["url_filter_match"], scores["url_filter_list"]) == (match, name)


@pytest.mark.parametrize(
    "url",
    ["http://notbad.example/", "http://example/bad.example", "http://a.exact.example.net/",
     "http://page.example/some/path", "http://page.example/some/path?q=1&r=2",
     "http://partial.example/", "http://xxx.example/", "http://a.example/map/orn",
     "http://a.example/medieval", "http://casino.example/casino", "http://192.0.2.77/",
     "http://7.192.0.2/", "http://a.example/1427", "http://évil.example/"],
)  # fmt: skip
def test_near_misses_stay(lists, url):
    [broken], [scores] = reasons(stage(lists), [url])
    assert broken == []
    assert scores["url_filter_allowed"] == 0


@pytest.mark.parametrize(
    "url",
    ["http://good.bad.example/", "http://www.fine.bad.example/evil", "http://BAD.example/About"],
)
def test_allow_list_wins(lists, url):
    [broken], [scores] = reasons(stage(lists), [url])
    assert broken == []
    assert scores["url_filter_allowed"] == 1
    assert scores["url_filter_domain_blocked"] is None
    assert scores["url_filter_hard_words"] is None


def test_scores_of_missing_and_malformed_urls(lists):
    urls = [None, "mailto:evil@bad.example", "http://[bad]/", ""]
    broken, rows = reasons(stage(lists), urls)
    assert broken == [[], ["hard_words"], [], []]
    assert set(rows[0].values()) == {None}
    for row in rows[1:]:
        assert (row["url_filter_host"], row["url_filter_domain"]) == (None, None)
        assert row["url_filter_malformed"] == 1
    broken, _ = reasons(stage({}, reject_malformed=True), [*urls, "http://a.example"])
    assert broken == [[], *[["malformed_url"]] * 3, []]


def test_host_and_registered_domain_are_columns():
    urls = ["http://www.a.co.uk:8080/x", "http://[::1]/", "http://me.github.io"]
    _, rows = reasons(stage({}), urls)
    assert [row["url_filter_host"] for row in rows] == ["www.a.co.uk", "[::1]", "me.github.io"]
    assert [row["url_filter_domain"] for row in rows] == ["a.co.uk", None, "me.github.io"]
    _, rows = reasons(stage({}, private_suffixes=False), urls[2:])
    assert rows[0]["url_filter_domain"] == "github.io"


def test_strict_words_pass_over_what_the_definition_says(lists):
    url = "http://a.example/map/ornament"
    assert reasons(stage(lists), [url])[0] == [[]]
    assert reasons(stage(lists, strict_definition="datatrove"), [url])[0] == [["strict_words"]]


WORDS = ("casino", "poker", "evil", "sex", "a", "b1")
pieces = st.sampled_from([*WORDS, "/", "-", "_", ".", "?", "=", "%20", "x", "EVIL", "Casino"])


@settings(deadline=None, max_examples=120)
@given(st.lists(pieces, max_size=9).map("".join))
def test_words_are_those_of_datatrove_on_lower_case(tmp_path_factory, path):
    """The oracle lower-cases first: datatrove compares as it stands, and misses EVIL."""
    folder = tmp_path_factory.getbasetemp()
    for name, words in (("soft", WORDS[:2]), ("hard", WORDS[2:3]), ("sub", WORDS[3:4])):
        (folder / name).write_text("\n".join(words))
    url_filter = _cached(folder)
    url = f"http://host.example/{path}"
    [broken], [scores] = reasons(url_filter, [url])
    text = url.removeprefix("http://").lower().replace("%20", " ")
    tokens = set(re.sub(r"[^a-z0-9]+", " ", text).split(" "))
    expected = {
        "strict_words": "sex" in re.sub(r"[^a-z0-9]+", "", text),
        "hard_words": "evil" in tokens,
        "soft_words": len(tokens & {"casino", "poker"}) >= 2,
    }
    assert broken == [reason for reason, found in expected.items() if found]
    assert scores["url_filter_soft_words"] == len(tokens & {"casino", "poker"})


_STAGES = {}


def _cached(folder):
    if folder not in _STAGES:
        settings_ = {f"{kind}_words": [str(folder / name)] for kind, name in
                     (("soft", "soft"), ("hard", "hard"), ("strict", "sub"))}  # fmt: skip
        _STAGES[folder] = stage(settings_, strict_definition="datatrove")
    return _STAGES[folder]


def test_scores_do_not_depend_on_the_batch(lists):
    urls = ["http://bad.example", None, "http://a.example/casino-poker", "http://évil.example", "x"]
    url_filter = stage(lists)
    _, whole = reasons(url_filter, urls)
    assert whole == [reasons(url_filter, [url])[1][0] for url in urls]
    assert whole == reasons(url_filter, urls[::-1])[1][::-1]
    assert reasons(url_filter, [])[1] == []


def test_lists_can_be_folders_and_gzip_and_their_order_is_free(tmp_path, lists):
    for name in ("adult", "games"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "domains").write_text(f"{name}.example\nboth.example\n")
        with gzip.open(tmp_path / name / "urls.gz", "wt") as file:
            file.write(f"{name}.example.org/page\n")
    paths = [str(tmp_path / name) for name in ("games", "adult")]
    one, other = stage({}, block=paths), stage({}, block=paths[::-1])
    assert one.lists_digest == other.lists_digest
    assert one.lists_read == other.lists_read
    assert "block adult/urls: URLs 1" in one.lists_read
    urls = ["http://both.example", "http://games.example.org/page"]
    assert reasons(one, urls) == reasons(other, urls)
    assert reasons(one, urls)[1][0]["url_filter_list"] == "adult/domains"


def test_lines_that_are_not_read_are_counted(lists):
    read = dict(line.split(": ") for line in stage(lists).lists_read)
    assert read["block list"] == "URLs 1, domains 6, exceptions 1, hosts 1; lines not read 1"
    assert read["hard_words hard.txt"] == "words 3"


def test_lines_in_another_charset_are_not_counted_as_read(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_text("münchen.example\nköln.example\nbonn.example\n", encoding="latin-1")
    url_filter = stage({}, block=[str(path)], strict_words=[str(path)])
    assert url_filter.lists_read == (
        "block latin.txt: domains 1; lines not read 2, not UTF-8 2",
        "strict_words latin.txt: words 1; lines not read 2, not UTF-8 2",
    )
    assert [note.partition("latin.txt: ")[2] for note in url_filter.notes()] == [
        "2 of 3 lines are not UTF-8 and were not read; convert the file, e.g. with iconv",
    ] * 2


def test_a_list_of_which_little_is_read_is_told(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.example\nb.example\n" + "example.com##.advert\n" * 2)
    assert stage({}, block=[str(path)]).notes() == ()
    path.write_text("a.example\nb.example\n" + "example.com##.advert\n" * 3)
    [note] = stage({}, block=[str(path)]).notes()
    assert note.startswith(f"stage url_filter: block {path}: 3 of 5 lines were not read; ")


def test_changed_list_is_noticed(tmp_path):
    path = tmp_path / "list"
    path.write_text("a.example\n")
    url_filter = stage({}, block=[str(path)])
    again = UrlFilter.model_validate(url_filter.model_dump())
    assert again == url_filter
    path.write_text("b.example\n")
    with pytest.raises(DriftError, match=r"lists_digest .* as planned"):
        url_filter.open()
    with pytest.raises(ValidationError, match="but the files have"):
        UrlFilter.model_validate(url_filter.model_dump())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "has no entry: it is blank, or all comment"),
     (b"# one\n! two\n", "has no entry: it is blank, or all comment"),
     (b"just words here\n", "has no entry: of 1 lines none could be read"),
     (b"\x1f\x8b\x08broken", "cannot be read")],
)  # fmt: skip
def test_unusable_list_is_one_line(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=message):
        stage({}, block=[str(path)])


def test_missing_files_and_equal_names_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="no such file"):
        stage({}, block=[str(tmp_path / "nothing")])
    with pytest.raises(ValidationError, match="has no file 'domains' or 'urls'"):
        stage({}, allow=[str(tmp_path)])
    (tmp_path / "a").write_text("a.example")
    with pytest.raises(ValidationError, match=r"two lists of block are named .*rename one"):
        stage({}, block=[str(tmp_path / "a")] * 2)
    with pytest.raises(ValidationError, match=r"suffix_list .*no such file"):
        stage({}, suffix_list=str(tmp_path / "psl"))


def test_hostile_urls_take_bounded_work(tmp_path):
    (tmp_path / "strict").write_text("a" * 64 + "\n" + "ab\n")
    url_filter = stage({}, strict_words=[str(tmp_path / "strict")])
    urls = ["http://" + "a" * 3_000_000, "http://x.example/" + "a" * 3_000_000, "%" * 100_000]
    _, rows = reasons(url_filter, urls)
    assert [row["url_filter_strict_words"] for row in rows] == [1, 1, 0]


def test_columns_carry_the_name_of_the_stage(lists):
    url_filter = stage(lists, name="u", reject_malformed=True)
    assert all(name.startswith("u_") for name in url_filter.writes().names)
    assert {rule.column for rule in url_filter.rules()} <= set(url_filter.writes().names)
    assert url_filter.writes().field("u_list").type == pa.string()
