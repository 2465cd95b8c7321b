"""Each gate has a child that trips exactly it."""

from importlib.util import find_spec

import pytest
from pydantic import ValidationError

from curation.errors import DataError, DriftError
from curation.stages.augmentation_gates import AugmentationGates
from tests.conftest import make_batch, run_stage
from tests.static_models import make_static_model

PARENT = (
    "The clinic in Boston treated 120 patients between 3 May 2019 and 7 June 2021. "
    "Doctor Alice Weber did not expect that so many of them would recover within 14 days. "
    "Most of the people who came were older than the average of the town, and nobody was sent "
    "home without a plan for the weeks that followed."
)
GOOD = (
    "The clinic in Boston cared for 120 patients from 3 May 2019 to 7 June 2021. "
    "Doctor Alice Weber had not thought that so many of them would recover in 14 days. "
    "Most people who came were older than the average in the town, and nobody was sent home "
    "without a plan for the weeks after that."
)
GERMAN = (
    "Die Klinik in Boston behandelte 120 Patienten zwischen dem 3. Mai 2019 und dem 7. Juni 2021. "
    "Doktor Alice Weber hatte nicht erwartet, dass sich so viele in 14 Tagen erholen. Die meisten "
    "Menschen waren älter als der Durchschnitt der Stadt, und keiner ging ohne einen Plan."
)


def gates(**settings):
    return AugmentationGates(kind="augmentation_gates", **settings)


def judge(child, parent=PARENT, **settings):
    batch = make_batch([child], parent_id=["p"], parent_text=[parent], made_by=["noise"])
    [row], [reasons] = run_stage(gates(**settings), batch)
    return row, reasons


def test_a_good_copy_passes_every_gate():
    row, reasons = judge(GOOD)
    assert reasons == []
    assert 60 < row["augmentation_gates_chrf"] < 97
    for fact in ("numbers", "dates", "names", "negations"):
        assert row[f"augmentation_gates_{fact}"] == 1
    assert row["augmentation_gates_language_probability"] > 0.9
    assert row["augmentation_gates_new_loops"] == 0


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (PARENT, "nothing_new"),
        (GOOD.replace("120", "210").replace("14", "41"), "numbers_lost"),
        (GOOD.replace("3 May", "4 May"), "dates_lost"),
        (GOOD.replace("Alice Weber", "the woman").replace("Boston", "the city"), "names_lost"),
        (GOOD.replace("not ", "").replace("nobody", "everybody"), "negations_changed"),
        (GOOD + " and on" * 12, "loops"),
    ],
)
def test_each_gate_is_tripped_by_its_own_fault(child, reason):
    assert judge(child)[1] == [reason]


def test_another_language_is_told_though_all_facts_are_kept():
    reasons = judge(GERMAN, min_negations=None, min_names=None, min_chrf=None)[1]
    assert reasons == ["language_changed"]


def test_lengths_and_chrf():
    assert "much_shorter" in judge("The clinic in Boston.")[1]
    only = {"min_chrf": None, "max_chrf": None, "max_new_loops": None, "min_negations": None}
    assert judge(f"{GOOD} {GOOD} {GOOD}", **only)[1] == ["much_longer"]
    other = "Where ships go, ropes freeze. " * 9
    keep = dict.fromkeys(("min_numbers", "min_dates", "min_names", "min_negations"))
    assert judge(other, max_new_loops=None, **keep)[1] == ["little_in_common"]


def test_documents_without_a_parent_pass_untouched_and_unscored():
    batch = make_batch(
        [GOOD, GOOD, None], parent_text=[None, PARENT, PARENT], made_by=[None, "a", "a"]
    )
    rows, reasons = run_stage(gates(), batch)
    scores = [
        {name: value for name, value in row.items() if name.startswith("augmentation_gates_")}
        for row in rows
    ]
    assert set(scores[0].values()) == set(scores[2].values()) == {None}
    assert scores[1]["augmentation_gates_chrf"] is not None
    assert reasons == [[], [], []]
    assert [row["text"] for row in rows] == [GOOD, GOOD, None]


def test_children_of_other_stages_are_left_to_other_gates():
    columns = {"parent_text": [PARENT] * 2, "made_by": ["noise", "translate"]}
    rows, reasons = run_stage(gates(made_by=["translate"]), make_batch([PARENT] * 2, **columns))
    assert reasons == [[], ["nothing_new"]]
    assert rows[0]["augmentation_gates_chrf"] is None


def test_a_parent_whose_language_is_unsure_holds_its_child_to_none():
    row, reasons = judge("1 2 4 no", parent="1 2 4 5", min_numbers=None, min_chrf=None)
    assert row["augmentation_gates_language_probability"] is None
    assert row["augmentation_gates_negations"] is None
    assert reasons == []


def test_bad_words_of_the_parent_are_no_fault_of_the_child(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("darn\nheck no\n")
    parent = PARENT + " Darn."
    settings = {"bad_words": str(path), "min_negations": None}
    assert judge(GOOD + " darn!", parent, **settings)[1] == []
    row, reasons = judge(GOOD + " darn, DARN", parent, **settings)
    assert reasons == ["bad_words_introduced"]
    assert row["augmentation_gates_new_bad_words"] == 1
    assert judge(GOOD + " heck no", **settings)[1] == ["bad_words_introduced"]
    assert judge(GOOD)[0]["augmentation_gates_new_bad_words"] is None


def test_a_list_that_changed_since_it_was_planned_is_an_error(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("darn\n")
    stage = gates(bad_words=str(path))
    path.write_text("heck\n")
    with pytest.raises(DataError, match=r"words.txt has digest .*, expected .* as planned"):
        stage.open()


def test_embeddings_tell_other_words_from_another_meaning(tmp_path):
    vectors = {"cat": (9, 0), "feline": (9, 1), "dog": (0, 9), "the": (1, 1), "sat": (2, 2)}
    model = make_static_model(tmp_path / "model", vectors)
    loose = dict.fromkeys(
        ["min_chrf", "max_chrf", "min_length_ratio", "max_length_ratio", "min_language_probability"]
    )
    settings = {"embedding": str(model), "min_cosine": 0.9, **loose}
    row, reasons = judge("the feline sat", "the cat sat", **settings)
    assert reasons == []
    assert row["augmentation_gates_cosine"] > 0.95
    assert judge("the dog sat", "the cat sat", **settings)[1] == ["meaning_changed"]
    assert judge("", "the cat sat", **settings)[0]["augmentation_gates_cosine"] is None
    stage = gates(**settings)
    make_static_model(tmp_path / "model", {"cat": (1, 2), "dog": (2, 1)})
    with pytest.raises(DriftError, match="as planned"):
        stage.open()


@pytest.mark.skipif(not find_spec("sacrebleu"), reason="needs sacrebleu")
def test_bleu_is_sacrebleus():
    from sacrebleu import sentence_bleu

    row, reasons = judge(GOOD, bleu=True, max_bleu=30)
    assert row["augmentation_gates_bleu"] == sentence_bleu(GOOD, [PARENT]).score
    assert reasons == ["high_bleu"]
    assert judge(GOOD)[0]["augmentation_gates_bleu"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_chrf": 90, "max_chrf": 50}, "min_chrf is 90.0 and max_chrf is 50.0"),
        ({"min_bleu": 10}, "min_bleu and max_bleu are for bleu = true"),
        ({"bad_words": "nowhere.txt"}, "bad_words 'nowhere.txt' cannot be used"),
        ({"embedding": "nowhere"}, "model 'nowhere': model.safetensors is not there"),
    ],
)
def test_impossible_settings_are_told_in_a_line(settings, message):
    with pytest.raises(ValidationError, match=message):
        gates(**settings)


def test_rows_do_not_depend_on_their_neighbours():
    children, parents = [GOOD, GERMAN, PARENT, GOOD + " and on" * 9], [PARENT] * 4
    together, _ = run_stage(gates(), make_batch(children, parent_text=parents, made_by=["a"] * 4))
    for place, child in enumerate(children):
        alone, _ = judge(child)
        assert {k: v for k, v in alone.items() if k.startswith("augm")} == {
            k: v for k, v in together[place].items() if k.startswith("augm")
        }
