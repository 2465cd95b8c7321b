"""Speed of noise per core, beside nlpaug where it is installed (pip install nlpaug).

    python benchmarks/noise.py [DOCUMENTS]

Texts are the answers of the sample. nlpaug is given the same texts one by one, at the same rate.
"""

import gzip
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "medquad.jsonl.gz"
RATE = 0.01


def texts(most: int) -> list[str]:
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line, _ in zip(lines, range(most), strict=False)]


def best(work: Callable[[], object], repeats: int = 3) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def ours(found: list[str]) -> None:
    import numpy as np

    from curation.text import noise_chars, noise_sentences, noise_words
    from curation.text.chance import keys_of
    from curation.text.edits import text_distances
    from curation.text.jit import read_only

    encoded = [text.encode() for text in found]
    offsets = read_only(np.cumsum([0, *map(len, encoded)]).astype(np.int64))
    data = read_only(np.frombuffer(b"".join(encoded), np.uint8))
    keys = keys_of(1, [str(number) for number in range(len(found))], "benchmark")
    size = len(data) / 1e6

    def show(name: str, work: Callable[[], object]) -> None:
        work()
        print(f"{name:32} {size / best(work):8.1f} MB/s")

    for name in noise_chars.OPERATIONS:
        one = noise_chars.character_noise({name: RATE}, "qwerty")
        show(name, lambda one=one: noise_chars.noise_characters(offsets, data, keys, one))
    every = noise_chars.character_noise(dict.fromkeys(noise_chars.OPERATIONS, RATE), "qwerty")
    show("all 14 of characters", lambda: noise_chars.noise_characters(offsets, data, keys, every))
    words = noise_words.word_noise(dict.fromkeys(noise_words.OPERATIONS, RATE), {"the": ["th"]})
    show("all 6 of words", lambda: noise_words.noise_words(offsets, data, keys, words))
    bounds = noise_sentences.sentence_bounds({"sentence_shuffle": 0.5, "sentence_drop": 0.1})
    show("sentences", lambda: noise_sentences.noise_sentences(offsets, data, keys, bounds))
    low = noise_chars.character_noise({"keyboard": RATE, "swap": RATE}, "qwerty")
    other, noisy, edits = noise_chars.noise_characters(offsets, data, keys, low)
    other, noisy = read_only(other), read_only(noisy)
    guesses = 2 * edits.sum(1) + 16
    show(
        "distances, 3 % of characters",
        lambda: text_distances(offsets, data, other, noisy, guesses, 1 << 27),
    )
    whole_stage(found, size)


def whole_stage(found: list[str], size: float) -> None:
    import pyarrow as pa

    from curation.stages.noise import Noise

    stage = Noise(rates=dict.fromkeys(("keyboard", "swap", "delete"), RATE), seed=1)
    batch = pa.RecordBatch.from_pydict(
        {
            "doc_id": [str(number) for number in range(len(found))],
            "text": pa.array(found, pa.large_string()),
            "target": pa.nulls(len(found), pa.large_string()),
            "child": pa.array([0] * len(found), pa.int32()),
        }
    )
    make = stage.open()
    make(batch)
    print(f"{'the stage, 3 operations':32} {size / best(lambda: make(batch)):8.1f} MB/s")


def theirs(found: list[str]) -> None:
    try:
        import nlpaug.augmenter.char as nac
        import nlpaug.augmenter.word as naw
    except ImportError:
        print("nlpaug is not installed")
        return
    size = sum(len(text.encode()) for text in found) / 1e6
    # Rates are of words and of the characters in them, and capped unless told otherwise.
    options = {
        "aug_char_p": 0.2,
        "aug_word_p": 5 * RATE,
        "aug_char_max": None,
        "aug_word_max": None,
    }
    for name, augmenter in (
        ("nlpaug keyboard", nac.KeyboardAug(**options)),
        ("nlpaug ocr", nac.OcrAug(**options)),
        ("nlpaug swap of characters", nac.RandomCharAug(action="swap", **options)),
        ("nlpaug swap of words", naw.RandomWordAug(action="swap", aug_p=RATE, aug_max=None)),
    ):
        seconds = best(lambda one=augmenter: [one.augment(text) for text in found], 1)
        print(f"{name:32} {size / seconds:8.2f} MB/s")


def main() -> None:
    found = texts(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
    try:
        ours(found)
    except ImportError as error:
        print(f"ours is not importable here: {error}")
    theirs(found[:200])


if __name__ == "__main__":
    main()
