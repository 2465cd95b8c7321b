"""The programs whose reading of Gopher's rules the statistics can follow."""

DEFINITIONS = ("paper", "datatrove", "dclm", "dolma", "curator")
"""Names in recipes; "paper" is ours, the others are those of datatrove 0.10, DCLM (2025-09),
dolma 1.2 and NeMo Curator 1.4. What each means: `curation.text.repetition`, `curation.text.gopher`.
"""

PAPER, DATATROVE, DCLM, DOLMA, CURATOR = range(5)
"""Their numbers in kernels."""
