"""Held-out bits per byte, document by document.

    bits per byte = sum over tokens of -log2 p(token | boundary, tokens before) / UTF-8 bytes

The denominator is the text's own bytes, so models with other tokenizers can be compared. Every
token of a document is scored once; boundaries are read but not scored. A document longer than the
window is read in windows of `window` tokens, each but the first beginning `context` tokens before
the first token that it scores.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cross_entropy

from curation.finetune.corpus import Document
from curation.finetune.tokenizer import TextTokenizer
from curation.results import BitsPerByte

EVALUATION = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("bits_before", pa.float64(), nullable=False),
        pa.field("bits_after", pa.float64(), nullable=False),
    ]
)
"""held_out.parquet: what paired intervals over documents are made from."""

HELD_OUT_FILE = "held_out.parquet"

DRAWS = 1000
"""Resamples of the documents behind a standard error."""

_LOGIT_VALUES = 1 << 24
"""Logits held at once: 64 MB in fp32."""


class Window(NamedTuple):
    """A stretch of one document."""

    document: int
    ids: list[int]
    scored_from: int
    """Index in `ids` of the first token that this window scores, at least 1."""


class HeldOut(NamedTuple):
    """The held-out documents and their windows; made once, scored before and after."""

    documents: list[Document]
    tokens: npt.NDArray[np.int64]
    """int64[documents], boundaries left out."""
    windows: list[Window]
    window: int
    context: int

    @property
    def tokens_read(self) -> int:
        """Tokens that one evaluation reads, context included."""
        return sum(len(window.ids) for window in self.windows)


def context_of(window: int) -> int:
    """Returns how many tokens a later window reads again: a quarter of the window."""
    return window // 4


def cut_windows(document: int, ids: Sequence[int], window: int, context: int) -> Iterator[Window]:
    """Cuts a document's tokens, its boundary first, into windows that score each token once."""
    scored = 1
    while scored < len(ids):
        start = 0 if scored == 1 else scored - context
        yield Window(document, list(ids[start : start + window]), scored - start)
        scored = start + window


def hold_out(documents: list[Document], tokenizer: TextTokenizer, window: int) -> HeldOut:
    """Encodes held-out documents and cuts them into windows, longest first."""
    encoded = tokenizer.encode([document.text for document in documents])
    context = context_of(window)
    windows = [
        part
        for number, ids in enumerate(encoded)
        for part in cut_windows(number, [tokenizer.begin, *ids], window, context)
    ]
    # Like lengths lie together, so little is padded; padding comes after a text and is never seen.
    windows.sort(key=lambda part: (-len(part.ids), part.document))
    return HeldOut(documents, np.array([len(ids) for ids in encoded]), windows, window, context)


@torch.no_grad()
def document_bits(
    model: Any, held_out: HeldOut, autocast: torch.dtype | None = None
) -> npt.NDArray[np.float64]:
    """Scores every held-out document.

    Args:
        model: A causal language model, on any device.
        held_out: The documents.
        autocast: Precision of the matrix products; None: the model's own.

    Returns:
        float64[documents], bits of surprise over all tokens of each.
    """
    model.eval()
    device = next(model.parameters()).device
    nats = np.zeros(len(held_out.documents))
    rows = max(1, min(64, _LOGIT_VALUES // (held_out.window * model.config.vocab_size)))
    for at in range(0, len(held_out.windows), rows):
        group = held_out.windows[at : at + rows]
        ids, targets = _tensors(group, device)
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            logits = model(input_ids=ids, use_cache=False).logits
        surprise = cross_entropy(
            logits[:, :-1].transpose(1, 2).float(), targets, reduction="none", ignore_index=-100
        )
        sums = surprise.double().sum(dim=1).cpu().numpy()
        np.add.at(nats, [window.document for window in group], sums)
    return nats / math.log(2)


def _tensors(group: list[Window], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids int64[B, L] and the targets int64[B, L - 1] of all but the last position."""
    longest = max(len(window.ids) for window in group)
    ids = torch.zeros((len(group), longest), dtype=torch.int64)
    targets = torch.full((len(group), longest - 1), -100, dtype=torch.int64)
    for row, window in enumerate(group):
        tokens = torch.tensor(window.ids)
        ids[row, : len(tokens)] = tokens
        targets[row, window.scored_from - 1 : len(tokens) - 1] = tokens[window.scored_from :]
    return ids.to(device), targets.to(device)


def summarize(
    held_out: HeldOut, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> BitsPerByte:
    """Sums documents up: bits over bytes, of all and of each source, with standard errors."""
    sizes = np.array([document.text_bytes for document in held_out.documents])
    sources = np.array([document.source for document in held_out.documents])
    by_source = {
        str(source): (
            float(before[sources == source].sum() / sizes[sources == source].sum()),
            float(after[sources == source].sum() / sizes[sources == source].sum()),
        )
        for source in np.unique(sources)
    }
    errors = standard_errors(np.stack([before, after, after - before]), sizes)
    return BitsPerByte(
        before=float(before.sum() / sizes.sum()),
        after=float(after.sum() / sizes.sum()),
        documents=len(sizes),
        bytes=int(sizes.sum()),
        by_source=by_source,
        window=held_out.window,
        context=held_out.context,
        file=HELD_OUT_FILE,
        se_before=errors[0],
        se_after=errors[1],
        se_change=errors[2],
    )


def standard_errors(
    bits: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64]
) -> list[float | None]:
    """Returns the standard error of bits per byte, by resampling documents (always the same draws).

    Args:
        bits: float64[quantities, documents].
        sizes: int64[documents], UTF-8 bytes.

    Returns:
        One for each quantity, None for each where there are fewer than two documents.
    """
    if len(sizes) < 2:
        return [None] * len(bits)
    draw = np.random.default_rng(0)
    ratios = np.empty((DRAWS, len(bits)))
    for at in range(DRAWS):
        chosen = draw.integers(0, len(sizes), len(sizes))
        ratios[at] = bits[:, chosen].sum(axis=1) / sizes[chosen].sum()
    return [float(error) for error in ratios.std(axis=0, ddof=1)]


def write_evaluation(
    path: Path,
    held_out: HeldOut,
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
) -> None:
    """Writes one row for each held-out document (schema EVALUATION), in the order of scoring."""
    documents = held_out.documents
    columns = [
        [document.doc_id for document in documents],
        [document.source for document in documents],
        [document.text_bytes for document in documents],
        held_out.tokens,
        before,
        after,
    ]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, EVALUATION, strict=True)]
    pq.write_table(pa.table(arrays, schema=EVALUATION), path)
