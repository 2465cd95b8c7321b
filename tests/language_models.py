"""A language model of two-grams, and what it says of a text in plain Python."""

from pathlib import Path

# Decimal logarithms of probabilities, and of back-off weights.
GRAMS = {
    "<unk>": (-2.0, 0.0), "<s>": (-99.0, -0.25), "</s>": (-1.0, 0.0), "the": (-0.5, -0.125),
    "ship": (-0.75, -0.5), "ice": (-1.25, 0.0),
}  # fmt: skip
PAIRS = {
    ("<s>", "the"): -0.25, ("the", "ship"): -0.375, ("ship", "</s>"): -0.5, ("ice", "the"): -0.625,
}  # fmt: skip


def write_arpa(path: Path) -> Path:
    """Writes the model as an ARPA file."""
    lines = ["\\data\\", f"ngram 1={len(GRAMS)}", f"ngram 2={len(PAIRS)}", "", "\\1-grams:"]
    lines += [f"{log}\t{word}\t{weight}" for word, (log, weight) in GRAMS.items()]
    lines += ["", "\\2-grams:"]
    lines += [f"{log}\t{first} {second}" for (first, second), log in PAIRS.items()]
    path.write_text("\n".join([*lines, "", "\\end\\", ""]))
    return path


def by_hand(text: str) -> tuple[float, int]:
    """The perplexity of a text in lower case, without digits or signs, and its tokens."""
    log, tokens = 0.0, 0
    for line in filter(str.strip, text.split("\n")):
        words = [word if word in GRAMS else "<unk>" for word in line.split()]
        for pair in zip(["<s>", *words], [*words, "</s>"], strict=True):
            backed_off = GRAMS[pair[0]][1] + GRAMS[pair[1]][0]
            log += PAIRS.get(pair, backed_off)
        tokens += len(words) + 1
    return 10 ** (-log / tokens), tokens
