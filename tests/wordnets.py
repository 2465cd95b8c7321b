"""A WordNet of a few words."""

from pathlib import Path

INDEX = {
    "noun": {"doctor": 2, "physician": 1, "illness": 1, "sickness": 1, "ailment": 1, "bank": 3},
    "verb": {"purchase": 1, "buy": 1, "acquire": 1},
    "adj": {"rapid": 1, "quick": 1},
    "adv": {"rapidly": 1, "quickly": 1},
}
SETS = {
    "noun": [["physician", "doctor"], ["illness", "sickness", "ailment"], ["bank"]],
    "verb": [["purchase", "buy", "acquire"]],
    "adj": [["rapid", "quick(a)", "quick_on_the_draw"]],
    "adv": [["rapidly", "quickly"]],
}
RARE = {"ailment"}


def make_wordnet(directory: Path) -> Path:
    """A WordNet of a few words, in the format of wndb(5WN)."""
    directory.mkdir(exist_ok=True)
    licence = "  1 This software and database is being provided to you.  \n"
    for part, sets in SETS.items():
        data, lines = licence, dict[str, str]()
        for words in sets:
            offset = len(data)
            members = " ".join(f"{word} 0" for word in words)
            data += f"{offset:08d} 03 {part[0]} {len(words):02x} {members} 000 | a gloss  \n"
            for word in words:
                senses = INDEX[part].get(word, 1)
                told = " ".join([f"{offset:08d}"] * senses)
                tagged = 0 if word in RARE else 1
                lines[word] = f"{word} {part[0]} {senses} 0 {senses} {tagged} {told}  \n"
        (directory / f"data.{part}").write_text(data)
        index = licence + "".join(lines[word] for word in sorted(lines) if "(" not in word)
        if part == "adj":
            index += f"quick a 1 0 1 1 {len(licence):08d}  \n"
            index = licence + "".join(sorted(index.removeprefix(licence).splitlines(True)))
        (directory / f"index.{part}").write_text(index)
        (directory / f"{part}.exc").write_text("bought buy\n" if part == "verb" else "")
    return directory
