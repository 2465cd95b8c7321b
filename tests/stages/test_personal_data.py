import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.audit import sample, trace
from curation.local import run_plan
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import RunOptions
from curation.segment import SegmentRun, Verdicts, score_rows
from curation.stages.personal_data import PersonalData
from curation.text.pii_formats import FORMATS, KINDS
from tests.conftest import make_batch, write_jsonl

VALUES = {
    "private_key": "-----BEGIN PRIVATE KEY-----\n" + "aB3+" * 16 + "\n-----END PRIVATE KEY-----",
    "api_key": "ghp_9aKx2LmQ7ZpR4tVw8YcB1nD6fGh3JkS5uE0i",
    "secret": "kJ8s9dQf_jK2l7",
    "wallet_key": "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
    "email": "maria.keller@uni-musterstadt.de",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "national_id": "536-90-4399",
    "ip": "93.184.216.34",
    "phone": "+49 30 901820",
}
TEXTS = {kind: f"Größe 😀 {value} here" for kind, value in VALUES.items()}
TEXTS["secret"] = f"Größe 😀 password = '{VALUES['secret']}' here"
CLEAN = ["", "No data at all.", "Größe 数 🙂 İ", "Version 1.2.3.4 of 2024-05-12, x@example.com"]


def _stage(**options):
    return PersonalData(kind="personal_data", **options)


def _run(stage, texts, targets=None):
    batch = make_batch(texts, target=targets or [None] * len(texts))
    verdicts = Verdicts(len(texts))
    run = SegmentRun([stage])
    return run.run(batch, verdicts).to_pylist(), verdicts


def _all(action):
    return dict.fromkeys(KINDS, action)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_replaced_counted_and_placed(kind):
    [row], verdicts = _run(_stage(**_all("redact")), [TEXTS[kind]])
    assert row["text"] == TEXTS[kind].replace(VALUES[kind], f"<{kind.upper()}>")
    assert {name: row[f"personal_data_{name}"] for name in KINDS} == {
        name: int(name == kind) for name in KINDS
    }
    [span] = row["personal_data_spans"]
    assert TEXTS[kind][span["start"] : span["end"]] == VALUES[kind]
    assert (span["field"], span["kind"]) == ("text", kind)
    assert not verdicts.rejected.any()


@pytest.mark.parametrize("kind", KINDS)
def test_each_rule_is_broken_by_its_own_text(kind):
    text = TEXTS[kind]
    [row], verdicts = _run(_stage(**_all("reject")), [text])
    assert [(found.stage, found.reason) for found in verdicts.breaks] == [
        ("personal_data", f"many_{kind}")
    ]
    assert VALUES[kind] not in row["text"]


def test_bound_is_inclusive():
    stage = _stage(email="reject", max_hits={"email": 2})
    texts = ["a@b.co c@d.co", "a@b.co c@d.co e@f.co"]
    rows, verdicts = _run(stage, texts)
    assert verdicts.rejected.tolist() == [False, True]
    assert [row["text"] for row in rows] == ["<EMAIL> <EMAIL>", "<EMAIL> <EMAIL> <EMAIL>"]


@pytest.mark.parametrize("kind", KINDS)
def test_counted_kind_stays_and_kind_that_is_off_is_not_looked_for(kind):
    [row], _ = _run(_stage(**_all("redact") | {kind: "count"}), [TEXTS[kind]])
    assert (row["text"], row[f"personal_data_{kind}"]) == (TEXTS[kind], 1)
    [row], _ = _run(_stage(**_all("redact") | {kind: "off"}), [TEXTS[kind]])
    assert (row["text"], row[f"personal_data_{kind}"]) == (TEXTS[kind], None)
    assert row["personal_data_spans"] == []


def test_texts_without_finds_are_the_same_bytes():
    batch = make_batch([*CLEAN, None])
    columns = _stage().open()(batch)
    assert columns["text"].equals(batch.column("text"))
    assert columns["personal_data_spans"].to_pylist() == [[]] * 5


def test_target_is_redacted_and_its_spans_say_so():
    [row], _ = _run(_stage(), ["é a@b.co"], ["ü c@d.co"])
    assert (row["text"], row["target"]) == ("é <EMAIL>", "ü <EMAIL>")
    assert [(span["field"], span["start"], span["end"]) for span in row["personal_data_spans"]] == [
        ("text", 2, 8),
        ("target", 2, 8),
    ]
    assert row["personal_data_email"] == 2


texts = st.lists(st.sampled_from([*TEXTS.values(), *CLEAN]), max_size=6)


@settings(deadline=None, max_examples=30)
@given(texts, st.integers(0, 6), st.lists(st.sampled_from([0, 1, 2]), min_size=6, max_size=6))
def test_rows_are_free_of_the_batch_and_the_second_run_changes_nothing(rows, cut, order):
    stage = _stage(**_all("redact"))
    whole, _ = _run(stage, rows)
    parts = _run(stage, rows[:cut])[0] + _run(stage, rows[cut:])[0]
    columns = stage.writes().names
    assert [[row[name] for name in columns] for row in whole] == [
        [row[name] for name in columns] for row in parts
    ]
    again, _ = _run(stage, [row["text"] for row in whole])
    assert [row["text"] for row in again] == [row["text"] for row in whole]
    assert all(row["personal_data_spans"] == [] for row in again)


def test_rows_of_other_sources_are_left_alone():
    batch = make_batch([TEXTS["email"], TEXTS["email"]], source=["a", "b"])
    first, _ = score_rows(_stage(sources=("a",)), batch, np.array([True, False]))
    second, _ = score_rows(_stage(sources=("b",), email="count"), first, np.array([False, True]))
    rows = second.to_pylist()
    assert "<EMAIL>" in rows[0]["text"]
    assert rows[1]["text"] == TEXTS["email"]
    assert [len(row["personal_data_spans"]) for row in rows] == [1, 1]


def test_columns_follow_their_schema():
    stage = _stage(name="pii")
    columns = stage.open()(make_batch(list(TEXTS.values())))
    assert set(columns) == set(stage.writes().names)
    for field in stage.writes():
        assert pa.array(columns[field.name]).type == field.type, field.name


def test_own_placeholders():
    stage = _stage(placeholder="<{kind} removed>", placeholders={"phone": "<TEL>"})
    [row], _ = _run(stage, ["a@b.co +49 30 901820"])
    assert row["text"] == "<email removed> <TEL>"


def test_kept_domains_formats_and_addresses():
    text = "a@b.co c@x.d.co 536-90-4399 AB 12 34 56 C 10.0.0.1 93.184.216.34"
    stage = _stage(keep_domains=("D.co",), skip_formats=("us_ssn",), keep_addresses=("version",))
    [row], _ = _run(stage, [text])
    assert row["text"] == "<EMAIL> c@x.d.co 536-90-4399 <NATIONAL_ID> <IP> <IP>"


def test_settings_survive_a_round_trip():
    stage = _stage(email="reject", max_hits={"email": 5}, skip_formats=("us_ssn",))
    assert PersonalData.model_validate_json(stage.model_dump_json()) == stage


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"email": "mask"}, r"email\n  Input should be 'redact', 'reject', 'count' or 'off'"),
        ({"max_hits": {"mail": 5}}, r"unknown kind in max_hits 'mail'.*did you mean 'email'"),
        ({"max_hits": {"email": 5}}, r"whose action is 'redact'; a bound needs email = \"reject\""),
        ({"email": "reject", "max_hits": {"email": -1}}, r"max_hits for 'email' is -1"),
        (
            {"skip_formats": ("ssn",)},
            r"unknown format in skip_formats 'ssn'.*did you mean 'us_ssn'",
        ),
        ({"placeholder": "me@web.de"}, r"placeholder of 'private_key' is 'me@web\.de'; expected"),
        ({"placeholders": {"email": "<123>"}}, r"placeholder of 'email' is '<123>'"),
        ({"placeholders": {"mail": "<x>"}}, r"unknown kind in placeholders 'mail'"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        _stage(**options)


def test_every_format_has_a_kind_and_a_name_of_its_own():
    assert len({format_.name for format_ in FORMATS}) == len(FORMATS)
    assert set(KINDS) == set(TEXTS)


@pytest.mark.slow
def test_no_value_is_written_anywhere_in_a_dataset(tmp_path):
    rows = [{"id": kind, "text": TEXTS[kind] + " and more." * 9} for kind in KINDS]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    settings_ = _all("redact") | {"email": "reject", "phone": "reject", "api_key": "reject"}
    recipe = {
        "name": "private",
        "sources": [{"name": "rows", "kind": "jsonl", "paths": ["rows.jsonl"]}],
        "stages": [
            {"kind": "gopher_quality", "min_words": 15, "min_stop_words": 0},
            {"kind": "personal_data", **settings_},
            {"kind": "exact_dedup"},
        ],
    }
    plan = make_plan(LoadedRecipe(parse_recipe(recipe), tmp_path))
    manifest = run_plan(plan, RunOptions(out=tmp_path / "out", workers=1))
    assert manifest.totals.documents_rejected >= 3
    held = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    held += "".join(
        str(pq.read_table(path).to_pylist()) for path in (tmp_path / "out").rglob("*.parquet")
    ).encode()
    shown = json.dumps([route.hops for kind in KINDS for route in trace(tmp_path / "out", kind)])
    shown += str(sample(tmp_path / "out", 20, rejected="any"))
    for kind, value in VALUES.items():
        assert value.encode() not in held, kind
        assert value not in shown, kind
