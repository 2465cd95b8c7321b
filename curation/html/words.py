"""The words of `words.toml`."""

import tomllib
from pathlib import Path

_FILE = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))

ATTRIBUTE_GROUPS: dict[str, list[str]] = _FILE["attributes"]
"""Words in attributes, by what they say of a part of a page."""
TEXT_GROUPS: dict[str, list[str]] = _FILE["texts"]
"""Words in short texts, likewise."""
FREQUENT: list[str] = _FILE["frequent"]["words"].split()
"""Words of running text."""
