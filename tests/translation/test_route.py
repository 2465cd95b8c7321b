import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.translation.cache import TranslationCache
from curation.translation.engine import Decoding
from curation.translation.protect import protected
from curation.translation.route import Hop, Route
from tests.translation.engines_for_tests import install, spec
from tests.translation.test_layout import MANUAL
from tests.translation.test_layout import texts as any_texts
from tests.translation.test_protect import NUMBERS, SPANS
from tests.translation.test_protect import sentences as any_sentences

in_memory = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


@pytest.fixture
def route(tmp_path) -> Route:
    hops = (Hop(spec("en", "pt"), "there"), Hop(spec("pt", "en"), "back"))
    return Route(hops, TranslationCache(tmp_path / "cache"))


@in_memory
@given(text=any_texts)
def test_with_an_identity_engine_a_text_stays_byte_for_byte(monkeypatch, route, text):
    install(monkeypatch)
    [made] = route.translate_texts([text])
    assert made.text == text
    assert made.in_pieces == 0


@in_memory
@given(
    sentence=any_sentences.filter(lambda text: text.strip() == text and text),
    damage=st.sampled_from(["drop", "double", "letters", "digits", "empty", "spaces"]),
)
def test_whatever_an_engine_does_protected_spans_survive(monkeypatch, tmp_path, sentence, damage):
    changes = {
        "drop": lambda text: re.sub(r"\b[A-Z]+\d+\b", "", text) + "x",
        "double": lambda text: f"{text} {text}",
        "letters": lambda _: "so ein Wort",
        "digits": lambda text: f"{text} 12345",
        "empty": lambda _: "",
        "spaces": lambda text: text.replace(" ", "   "),
    }
    install(monkeypatch, changes[damage])
    key = re.sub(r"\W", "", damage)
    cache = TranslationCache(tmp_path / f"cache-{key}")
    [answer] = Route((Hop(spec(), "there"),), cache).translate([sentence])
    cache.close()
    spans = [sentence[a:b] for a, b in protected(sentence, numbers=False)]
    numbers = re.findall(r"\d+(?:[.,:/-]\d+)*", sentence)
    assert all(answer.text.count(span) >= spans.count(span) for span in spans)
    assert sorted(re.findall(r"\d+(?:[.,:/-]\d+)*", answer.text)) == sorted(numbers) or spans


@pytest.mark.parametrize("span", [*SPANS, *NUMBERS])
def test_a_span_is_never_shown_or_comes_back(monkeypatch, route, span) -> None:
    engine = install(monkeypatch, str.upper)
    sentence = f"the value {span} is here"
    [answer] = route.translate([sentence])
    assert span in answer.text
    assert answer.text.replace(span, "") == sentence.replace(span, "").upper()
    if span in SPANS:
        assert not any(span in call for call in engine.calls)


def test_ways_are_tried_from_the_best(monkeypatch, route) -> None:
    install(monkeypatch, lambda text: text.replace("5,600", "5.600").replace("X1", "Y"))
    ways = [
        route.translate([text])[0].way
        for text in ("no number here", "it costs 5,601 now", "see https://a.org now")
    ]
    assert ways == ["marked", "marked", "pieces"]


def test_a_changed_number_is_tried_with_a_mark(monkeypatch, route) -> None:
    engine = install(monkeypatch, lambda text: text.replace("5,600", "5.600").upper())
    [answer] = route.translate(["it costs 5,600 now"])
    assert answer.text == "IT COSTS 5,600 NOW"
    assert answer.way == "numbered"
    assert engine.calls[-2:] == ["it costs X1 now", "IT COSTS X1 NOW"]


def test_each_sentence_is_translated_once(monkeypatch, route) -> None:
    engine = install(monkeypatch, str.upper)
    text = "A sentence of several words. Another sentence of words.\n\nA sentence of several words."
    [made] = route.translate_texts([text])
    assert made.text == text.upper()
    assert made.sentences == 3
    assert len(engine.calls) == 4  # two sentences, two hops
    route.translate_texts([text, MANUAL])
    assert len(engine.calls) == len(set(engine.calls))


def test_a_killed_run_does_not_translate_a_cached_sentence_again(monkeypatch, route) -> None:
    engine = install(monkeypatch, str.upper)
    engine.dies_after = 10
    texts = [f"The sentence called {chr(97 + at)} is here." for at in range(20)]
    with pytest.raises(KeyboardInterrupt):
        route.translate_texts(texts)
    kept = engine.calls[:9]  # batches of three were kept; the tenth sentence was lost
    engine.calls, engine.dies_after = [], None
    cache = TranslationCache(route.cache.path)
    made = Route(route.hops, cache).translate_texts(texts)
    assert [one.text for one in made] == [text.upper() for text in texts]
    assert not set(kept) & set(engine.calls)
    assert len(engine.calls) == 40 - 9


def test_another_model_decoding_or_direction_is_another_translation(monkeypatch, route) -> None:
    engine = install(monkeypatch, str.upper)
    route.translate(["one more time"])
    for hop in (
        Hop(spec("en", "pt"), "another model"),
        Hop(spec("en", "es"), "there"),
        Hop(spec("en", "pt", prefix=">>por<<"), "there"),
        Hop(spec("en", "pt", decoding=Decoding(method="beam")), "there"),
        Hop(spec("en", "pt", max_tokens=20), "there"),
    ):
        engine.calls = []
        Route((hop,), route.cache).translate(["one more time"])
        assert engine.calls == ["one more time"]
    engine.calls = []
    same = Hop(spec("en", "pt", device="cpu", decoding=Decoding(temperature=2)), "there")
    Route((same,), route.cache).translate(["one more time"])
    assert engine.calls == []


def test_draws_differ_by_salt_and_sentence_and_by_nothing_else(monkeypatch, tmp_path) -> None:
    install(monkeypatch, drawn=lambda seed: f" {'ab'[seed % 2]}{'cd'[seed // 2 % 2]}")
    hop = Hop(spec(decoding=Decoding(method="sample")), "there")
    texts = [f"word {chr(97 + at)}" for at in range(20)]
    one = Route((hop,), TranslationCache(tmp_path / "one")).translate(texts, "1")
    other = Route((hop,), TranslationCache(tmp_path / "two")).translate(texts[::-1], "1")
    assert one == other[::-1]
    drawn = Route((hop,), TranslationCache(tmp_path / "one")).translate(texts, "2")
    assert {answer.text[-2:] for answer in one} == {"ac", "ad", "bc", "bd"}
    assert one != drawn


def test_two_pivots_are_three_hops(monkeypatch, tmp_path) -> None:
    engine = install(monkeypatch, lambda text: f"{text}i")
    hops = tuple(Hop(spec(*pair), "m") for pair in (("en", "pt"), ("pt", "es"), ("es", "en")))
    [answer] = Route(hops, TranslationCache(tmp_path / "c")).translate(["go on"])
    assert answer.text == "go oniii"
    assert engine.calls == ["go on", "go oni", "go onii"]
