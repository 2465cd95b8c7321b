"""Small fastText classifiers for tests, trained in a moment on made-up lines."""

from pathlib import Path
from typing import Any

import fasttext

WANTED = "the patient was treated with a dose of the drug and improved after therapy"
OTHER = "click here to buy cheap deals now! menu login home page cookie consent"


def training_lines(labels: tuple[str, ...] = ("hq", "lq")) -> str:
    """300 lines; each label has words of its own, and some that all share."""
    words = [text.split() for text in (WANTED, OTHER, "git commit branch merge é 日本語 x1 -- ...")]
    lines = []
    for number in range(300):
        label = number % len(labels)
        mine, shared = words[label % 3], words[(label + 1) % 3]
        picked = [mine[(number * k + label) % len(mine)] for k in range(1, 9)]
        lines.append(f"__label__{labels[label]} {' '.join(picked)} {shared[number % len(shared)]}")
    return "\n".join(lines) + "\n"


def make_classifier(
    path: Path,
    *,
    labels: tuple[str, ...] = ("hq", "lq"),
    quantize: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """Writes a model to `path` and returns fastText's own."""
    lines = path.with_suffix(".txt")
    lines.write_text(training_lines(labels), encoding="utf-8")
    wanted = {"wordNgrams": 2, "dim": 8, "bucket": 3000, "epoch": 8, "lr": 0.5} | settings
    model = fasttext.train_supervised(str(lines), thread=1, verbose=0, **wanted)
    if quantize is not None:
        model.quantize(str(lines), verbose=0, **quantize)
    model.save_model(str(path))
    return model
