import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import ValidationError

from curation.errors import DriftError
from curation.segment import SegmentRun, Verdicts
from curation.stages.decontaminate import Decontaminate
from tests.conftest import make_batch, write_jsonl

QUESTION = (
    "Which of the following rivers flows through the capital of Austria before it reaches the "
    "border with Slovakia and turns to the south of the great plain?"
)
ANSWER = "The Danube flows through Vienna before it reaches Bratislava"
ITEMS = [
    {"id": "q1", "question": QUESTION, "choices": {"text": ["Danube", ANSWER]}, "label": 1},
    {"id": "q2", "question": "Was heißt „Größe“, wenn man über die Fläche eines Ortes spricht, auf "
     "Englisch, Französisch und Ungarisch?", "choices": {"text": []}},
    {"id": "q3", "question": "数 学 是 研 究 数 量 结 构 变 化 空 间 的 学 科", "choices": None},
]  # fmt: skip
FILLER = "Every page has some words that nobody asked about, and they are here. "


@pytest.fixture
def evals(tmp_path):
    return str(write_jsonl(tmp_path / "rivers.jsonl", ITEMS))


def stage(evals, **options):
    options = {"fields": ["question", "choices.text"], **options}
    return Decontaminate(kind="decontaminate", evals=[evals], **options)


def judged(decontaminate, texts, **columns):
    """The reasons of the bounds that each text breaks, and its scores."""
    verdicts = Verdicts(len(texts))
    batch = SegmentRun((decontaminate,), score_all=True).run(make_batch(texts, **columns), verdicts)
    broken = [[] for _ in texts]
    for found in verdicts.breaks:
        for row in found.rows:
            broken[row].append(found.reason)
    return broken, batch.select(decontaminate.writes().names).to_pylist()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (QUESTION, ("q1", "question")),
        (QUESTION.upper().replace(" ", ",  "), ("q1", "question")),
        (QUESTION.replace(" ", "\n"), ("q1", "question")),
        ("(" + QUESTION.replace(" the ", " \u201cthe\u201d "), ("q1", "question")),
        (ANSWER + ".", ("q1", "choices.text[1]")),
        (ITEMS[1]["question"].replace("ö", "o\u0308").replace("o\u0308", "ö"), ("q2", "question")),
        (ITEMS[2]["question"], ("q3", "question")),
        (QUESTION[: len(QUESTION) * 4 // 5], ("q1", "question")),
    ],
)
def test_planted_passage_is_found_and_named(evals, text, match):
    [broken], [scores] = judged(stage(evals), [FILLER + text + "\n" + FILLER])
    assert broken == ["contaminated"]
    assert (scores["decontaminate_id"], scores["decontaminate_field"]) == match
    assert scores["decontaminate_set"] == "rivers"
    assert scores["decontaminate_position"] in (len(FILLER), len(FILLER) + 1)


def test_position_is_counted_in_characters(evals):
    [_], [scores] = judged(stage(evals), ["größer 😀 " + QUESTION])
    assert scores["decontaminate_position"] == 9


@pytest.mark.parametrize(
    "text",
    [
        FILLER,
        "Danube",
        "The Danube flows through Vienna and then it reaches Bratislava",
        " ".join(word if k % 12 else "other" for k, word in enumerate(QUESTION.split())),
        " ".join(reversed(QUESTION.split())),
        "",
    ],
)
def test_near_miss_stays(evals, text):
    [broken], [scores] = judged(stage(evals), [text])
    assert broken == []
    assert scores["decontaminate_overlap"] == scores["decontaminate_ngrams"] == 0
    assert scores["decontaminate_id"] is scores["decontaminate_position"] is None


def test_each_bound_has_its_own_reason(evals):
    tokens = QUESTION.split()
    some = FILLER + " ".join(tokens[:14])
    paragraph = FILLER * 3 + "\n" + " ".join(tokens[:13])
    measure = {"max_overlap": 1}
    assert judged(stage(evals), [some])[0] == [[]]
    assert judged(stage(evals, max_ngrams=0), [some])[0] == [["contaminated_ngrams"]]
    assert judged(stage(evals, max_ngrams=2), [some])[0] == [[]]
    paragraphs = stage(evals, max_paragraph_overlap=0.5, **measure)
    broken, [first, second] = judged(paragraphs, [some, paragraph])
    assert broken == [[], ["contaminated_paragraph"]]
    assert first["decontaminate_paragraph_overlap"] == 2 / (len(FILLER.split()) + 2)
    assert second["decontaminate_paragraph_overlap"] == 1


def test_target_is_searched_behind_the_text(evals):
    texts, targets = [FILLER, FILLER, None], [None, QUESTION, QUESTION]
    broken, rows = judged(stage(evals), texts, target=targets)
    assert broken == [[], ["contaminated"], []]
    assert rows[1]["decontaminate_position"] == len(FILLER) + 1
    assert rows[2]["decontaminate_overlap"] is None


def test_words_that_many_items_share_can_be_left_out(tmp_path):
    prompt = "Read the question with care and then choose the best of the four answers below"
    items = [{"question": f"{prompt} {k} {QUESTION[k * 5 :]}"} for k in range(5)]
    evals = str(write_jsonl(tmp_path / "set.jsonl", items))
    options = {"fields": ["question"], "max_overlap": 0, "max_sharing": 1}
    assert judged(stage(evals, fields=["question"], max_overlap=0), [prompt])[0] != [[]]
    assert judged(stage(evals, **options), [prompt])[0] == [[]]
    [broken], [scores] = judged(stage(evals, **options), [items[2]["question"]])
    assert (broken, scores["decontaminate_id"]) == (["contaminated"], "2")


def test_scores_do_not_depend_on_the_batch(evals):
    texts = [QUESTION, FILLER, ANSWER, None, QUESTION + QUESTION, ""]
    decontaminate = stage(evals)
    _, whole = judged(decontaminate, texts)
    assert whole == [judged(decontaminate, [text])[1][0] for text in texts]
    assert whole == judged(decontaminate, texts[::-1])[1][::-1]


@pytest.mark.parametrize("kind", [".jsonl.gz", ".jsonl.zst", ".parquet", ".arrow", ".stream.arrow"])
def test_every_format_gives_the_same(tmp_path, evals, kind):
    path = tmp_path / "copy" / f"rivers{kind}"
    path.parent.mkdir()
    data = "".join(json.dumps(item) + "\n" for item in ITEMS).encode()
    table = pa.Table.from_pylist(ITEMS)
    if kind.endswith(".gz"):
        path.write_bytes(gzip.compress(data))
    elif kind.endswith(".zst"):
        path.write_bytes(zstandard.compress(data))
    elif kind == ".parquet":
        pq.write_table(table, path)
    else:
        write = pa.ipc.new_stream if "stream" in kind else pa.ipc.new_file
        with write(str(path), table.schema) as writer:
            writer.write_table(table)
    [_, [one]], [_, [other]] = (
        judged(stage(evals), [QUESTION]),
        judged(stage(str(path)), [QUESTION]),
    )
    assert one == {**other, "decontaminate_set": "rivers"}
    expected = "looked for by n-grams 3, looked for whole 1, rows 3, too short 1"
    assert stage(str(path)).evals_read[0].endswith(expected)


def test_files_are_identity_and_their_change_is_noticed(tmp_path, evals):
    decontaminate = stage(evals)
    assert Decontaminate.model_validate(decontaminate.model_dump()) == decontaminate
    write_jsonl(tmp_path / "rivers.jsonl", ITEMS[:1])
    with pytest.raises(DriftError, match=r"evaluation sets have digest .* as planned"):
        decontaminate.open()
    with pytest.raises(ValidationError, match=r"evals_digest is .* but the files have"):
        Decontaminate.model_validate(decontaminate.model_dump())
    assert stage(evals).evals_digest != decontaminate.evals_digest


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b'{"id": 1}\n[1]\n', {}, r"line 2 is a list; expected one object"),
        (b'{"question": "x"}\n{"ques', {}, r"line 2 is no JSON"),
        (b"\x1f\x8b\x08\x00broken", {}, r"cannot be read"),
        (b'{"questions": "x"}\n', {}, r"no row has a text in question.*did you mean 'questions'"),
        (b'{"question": "x"}\n', {"min_tokens": 14}, r"min_tokens is 14 and ngram is 13"),
        (b'{"question": "x"}\n', {"max_overlap": 2}, r"less than or equal to 1"),
    ],
)
def test_unusable_sets_and_settings_are_one_line(tmp_path, content, options, message):
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=message):
        stage(str(path), **options)


def test_files_must_be_there_and_told_apart(tmp_path, evals):
    with pytest.raises(ValidationError, match="no such file"):
        stage(str(tmp_path / "x.jsonl"))
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(ValidationError, match=r"ends in '\.csv'; expected one of \.jsonl"):
        stage(str(tmp_path / "x.csv"))
    with pytest.raises(ValidationError, match="two evaluation sets are named"):
        Decontaminate(kind="decontaminate", evals=[evals, evals], fields=["question"])


def test_lone_surrogates_in_a_set_hurt_nobody(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"question": "\\ud800 ' + QUESTION + '"}\n')
    assert judged(stage(str(path), fields=["question"]), [QUESTION])[0] == [["contaminated"]]


def test_a_field_that_no_set_has_is_told(tmp_path, evals):
    other = str(write_jsonl(tmp_path / "goals.jsonl", [{"goal": QUESTION, "solutions": ANSWER}]))
    options = {"kind": "decontaminate", "evals": [evals, other]}
    found = Decontaminate(**options, fields=["question", "goal", "solutions"])
    assert len(found.evals_read) == 2
    message = r"no row of any file has a text in 'solution': .*did you mean 'solutions'\?"
    with pytest.raises(ValidationError, match=message):
        Decontaminate(**options, fields=["question", "goal", "solution"])


def test_a_set_of_which_nothing_would_be_looked_for_is_told(tmp_path, evals):
    short = str(write_jsonl(tmp_path / "short.jsonl", [{"question": "To be or not?"}] * 3))
    options = {"kind": "decontaminate", "evals": [evals, short], "fields": ["question"]}
    message = r"short\.jsonl: all 3 passages in question have fewer than 8 words, so nothing"
    with pytest.raises(ValidationError, match=message):
        Decontaminate(**options)
    [_, read] = Decontaminate(**options, min_tokens=4).evals_read
    assert read == "short: looked for whole 3, rows 3"


def test_names_keep_two_looks_apart(evals):
    again = stage(evals, name="again")
    assert all(name.startswith("again_") for name in again.writes().names)
    [broken], _ = judged(again, [QUESTION])
    assert broken == ["contaminated"]


@pytest.mark.shared
def test_real_test_split_is_found_in_pages_and_nothing_else(shared_data, tmp_path):
    """Dialogues planted in medical pages: found, all of them, and no page without one."""
    with gzip.open(shared_data / "supervised" / "mts-dialog-summarisation.jsonl.gz", "rt") as lines:
        items = [json.loads(line) for line in lines][-100:]
    evals = str(write_jsonl(tmp_path / "mts.jsonl", items))
    with gzip.open(shared_data / "domain-text" / "medquad.jsonl.gz", "rt") as lines:
        pages = [json.loads(line)["text"] for line in lines][:1000]
    decontaminate = stage(evals, fields=["document"], max_overlap=0.5)
    broken, _ = judged(decontaminate, pages)
    assert not any(broken)
    planted = [
        f"{page}\n{item['document'].upper()}" for page, item in zip(pages, items, strict=False)
    ]
    broken, rows = judged(decontaminate, planted)
    long = [len(item["document"].split()) >= 30 for item in items]
    assert [bool(reasons) for reasons, is_long in zip(broken, long, strict=True) if is_long] == [
        True
    ] * sum(long)
    assert all(row["decontaminate_overlap"] in (0, 1) for row in rows)
