"""The three kinds of stage, and the rule: stages score, rules decide, the runner splits.

A stage is a frozen pydantic model. Its fields are its settings *and* its identity: together with
`kind` and `version` they are all that enters the recipe's fingerprint. One file per kind in
`curation/stages/`, in the order: docstring with the source, class attributes, settings with a
docstring under each, `writes`, `rules`, and the work (`open`, or `keys` and `decide`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curation.schema import LANGUAGE_LABEL

Columns = Mapping[str, pa.Array | npt.NDArray[Any]]
BatchFunction = Callable[[pa.RecordBatch], Columns]


class Rule(NamedTuple):
    """Bounds on one score column, both inclusive; a null score means "does not apply": kept."""

    reason: str
    column: str
    low: float | None = None
    high: float | None = None


class Stage(BaseModel, ABC):
    """One step of a recipe. Subclasses add `kind: Literal["..."]` and their settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: ClassVar[int] = 1
    """Raised by hand when the same settings give other output than before."""
    needs: ClassVar[frozenset[str]] = frozenset({"text"})
    """Columns that the stage reads; the plan checks that they exist by then."""

    files: ClassVar[frozenset[str]] = frozenset()
    """Settings that name a file or a list of files, relative to the recipe; identity is their
    content, not their place."""
    named: ClassVar[frozenset[str]] = frozenset()
    """Values of those settings that are no files: names of what the installation brings."""
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Values of the settings that have no default, for the table of stages."""

    selects: ClassVar[frozenset[str]] = frozenset()
    """Reasons that select by design, such as a language or a share to keep: however many documents
    of a source they reject, the over-removal guard takes it as meant."""
    entangled: ClassVar[frozenset[str]] = frozenset()
    """Reasons of rules whose bound decides more than whether a document stays: its text, or what
    becomes of others. What another bound would do, only a run can tell."""
    alike: ClassVar[frozenset[str]] = frozenset()
    """Values of settings in words between which only rules change, neither texts nor scores."""

    kind: str
    name: str = ""
    """Prefix of the score columns and name in reports; default: the kind."""
    sources: tuple[str, ...] | None = None
    """Names of the sources that the stage applies to; default: all."""
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Values of `language_label` that the stage applies to; default: all, and none."""
    except_languages: tuple[str, ...] = ()
    """Values of `language_label` that the stage leaves alone."""

    def model_post_init(self, context: object) -> None:  # noqa: ARG002
        """Fills the name in, so that it is always there to read."""
        if not self.name:
            object.__setattr__(self, "name", self.kind)

    def column(self, quantity: str) -> str:
        """Returns the score column's name, `<stage>_<quantity>`."""
        return f"{self.name}_{quantity}"

    def refuse_crossed(self, *quantities: str) -> None:
        """Checks the settings `min_<quantity>` and `max_<quantity>`; either may be missing.

        Raises:
            ValueError: A minimum is above its maximum.
        """
        for quantity in quantities:
            low, high = (getattr(self, f"{side}_{quantity}", None) for side in ("min", "max"))
            if low is not None and high is not None and low > high:
                raise ValueError(
                    f"min_{quantity} is {low} and max_{quantity} is {high}, so no document can "
                    "pass; expected the minimum to be the smaller one"
                )

    def reads(self) -> frozenset[str]:
        """Returns all columns that must exist before the stage."""
        scoped = self.languages is not None or self.except_languages
        return self.needs | {LANGUAGE_LABEL} if scoped else self.needs

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raises SchemaError where the stage cannot work with the columns that there are by then.

        That those in `reads` exist is checked without it.
        """

    def implied(self) -> "tuple[Stage, ...]":
        """Returns the stages that a setting of this one asks for; they follow it directly."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """Returns what a user should know before a run, such as what was not read of a file."""
        return ()

    def named_sources(self) -> Mapping[str, Iterable[str]]:
        """Returns, by setting, the names of sources in it: they must be among the recipe's."""
        return {}

    @abstractmethod
    def writes(self) -> pa.Schema:
        """Returns the columns that the stage appends or replaces (made with `schema.score`)."""

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that decide, in the order in which a reason is looked for."""
        return ()


class BatchStage(Stage):
    """Same rows, same order; appends or replaces the columns in `writes`, knows no other batch.

    The runner calls it on rows of its scope whose `text` is not null, and gives the other
    rows null scores. Each row's answer must not depend on its neighbours in the batch.
    """

    @abstractmethod
    def open(self) -> BatchFunction:
        """Loads what the stage needs (once per process) and returns its batch function.

        The function gets a RecordBatch of n rows and returns a mapping from each name in
        `writes` to an array of n values.
        """


class ExpandStage(Stage):
    """Makes new documents, each with `parent_id`; used by augmentation.

    The runner chooses the parents (never rejected ones, never those that a column `split` holds
    out), calls the stage, and puts each child behind its parent, with what `curation.families`
    says that it has of it. Stages after it meet parents and children alike; those of the same
    segment find the parent's text in the column `parent_text`.
    """

    share: float = Field(default=1.0, ge=0, le=100)
    """Children for each document: 0.5 gives one to every second, 2 gives two to each. It is met in
    expectation, by a hash of seed and doc_id that knows nothing of lengths, so that it is the
    share of augmented tokens to real ones, too."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Another seed makes other children; default: the recipe's seed."""
    from_children: bool = False
    """Documents that an earlier stage made have children, too."""

    @abstractmethod
    def open(self) -> BatchFunction:
        """Loads what the stage needs (once per process) and returns its batch function.

        The function gets n rows, one for each child to be made: a parent stands there as often as
        it is to have children, and the column `child` (int32) numbers them from 0. It returns a
        mapping to arrays of n values: `text` (null: there is nothing to be made of this parent),
        where it has them `target` (default: the parent's), `operation` (what was done; default:
        the stage's name), and of a child that could not be made `error` (a reason code; it becomes
        a reject) and `detail` (one line), and each name in `writes`. Each row's answer must not
        depend on its neighbours, and chance must come from seed, doc_id, `child` and operation.
        """


class KeyShard(NamedTuple):
    """The keys of one upstream shard: an uncompressed Arrow IPC file, one row per document.

    Its columns are `row` (int32, the row in the upstream shard), `doc_id`, and what `keys` made.
    Rows that an earlier global stage rejected, or that are out of the stage's scope, are not in it.
    """

    shard: int
    path: Path
    hashes: Path | None = None
    """Of a partitioned stage: all hashes of the shard, put in order by their first byte."""
    fixed: bool = False
    """The shard is one of an earlier dataset: its documents come first, and none is rejected."""


class Part(NamedTuple):
    """One of `total` ranges of the hashes: by their first byte, so there are 256 at most."""

    number: int
    total: int

    @property
    def first_bytes(self) -> range:
        """The first bytes of the hashes in this range."""
        return range(256 * self.number // self.total, 256 * (self.number + 1) // self.total)


class Texts(Protocol):
    """Random access to the texts of the upstream shards, which lie memory-mapped."""

    def take(self, shard: int, rows: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Returns the texts of some rows of a shard, in the order asked for."""


class Scratch(NamedTuple):
    """What a global decision may use up: a directory of its own, memory and threads."""

    directory: Path
    memory_bytes: int = 2 << 30
    threads: int = 2
    groups: tuple[Path, ...] = ()
    """Of a partitioned stage: the tables that `group` made, one file for each range, in order."""


class Reference(NamedTuple):
    """A shard of a finished dataset that takes part in a decision, but about which none is made."""

    dataset: str
    """Name of the dataset."""
    path: Path
    sha256: str
    """What the shard's file must have."""


class GlobalStage(Stage):
    """Sees only key columns of all shards, and answers with decisions (schema DECISION).

    The next segment applies the answer as it reads: rows that it rejects go, `apply` writes the
    columns in `writes` (the text may be one of them), and `rules` are asked last.

    A stage whose keys are too many for one process sets `hashed` and writes `group`: each range of
    hashes is then a work item of its own, and `decide` gets what the items found. How many ranges
    there are follows from memory and workers, so the answer must not depend on it.
    """

    hashed: ClassVar[str | None] = None
    """The key column, uint64 or fixed-size lists of them, by whose values documents are grouped."""
    duplicates: ClassVar[str | None] = None
    """What kind of duplicates it rejects, as `audit/clusters.parquet` has it; None: it does not."""

    @abstractmethod
    def keys(self) -> BatchFunction:
        """Returns the function that makes the key columns of a batch; it runs shard by shard."""

    def group(self, shards: Sequence[KeyShard], part: Part, scratch: Scratch) -> pa.Table:
        """Returns what `decide` has to know of the documents whose hashes lie in one range."""
        raise NotImplementedError(f"{type(self).__name__} sets `hashed` but has no `group`")

    def references(self) -> tuple[Reference, ...]:
        """Returns the shards of finished datasets whose documents take part."""
        return ()

    @abstractmethod
    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:
        """Returns a DECISION table; its content and order depend on the documents alone.

        That is: not on the number or order of the shards, on threads, or on a hash seed. The table
        may have further columns, for `apply` to read.
        """

    def apply(self, batch: pa.RecordBatch, answer: pa.RecordBatch) -> Columns:  # noqa: ARG002
        """Returns the columns in `writes` for the documents of a batch.

        Called, like a batch stage, on rows of the stage's sources that have a text and that no
        earlier decision rejected. By default each column is the one of the answer that is called
        like it without the stage's name in front.

        Args:
            batch: n documents as they were when the keys were made.
            answer: n rows, what was decided about each; null where nothing was.
        """
        prefix = f"{self.name}_"
        return {name: answer.column(name.removeprefix(prefix)) for name in self.writes().names}
