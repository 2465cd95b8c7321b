"""Texts with labelled personal data: `hard.txt` by hand, `generated.jsonl.gz` by `make`."""
