"""Paraphrases by a function of one's own, named in the recipe.

`function = "my_package.rewriting:paraphrase"` is imported from what is installed, like any module;
nothing that comes with the data is. It is called as `paraphrase(texts, seeds)` with n texts and n
numbers below 2**64, and returns n texts, or None for a text that it makes nothing of. Each answer
should depend on its text and seed alone: the same recipe then makes the same documents. Source:
ours.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.errors import DriftError, StageError
from curation.plainfile import agreed_digest, file_digest
from curation.stage import BatchFunction, Columns, ExpandStage

Paraphraser = Callable[[Sequence[str], Sequence[int]], Sequence[str | None]]


class Paraphrase(ExpandStage):
    """Makes documents with a Python function of yours."""

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"function": "my_package:paraphrase"})

    kind: Literal["paraphrase"] = "paraphrase"
    function: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """Module and name, "my_package.rewriting:paraphrase"."""
    function_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the module's file: identity, filled in by itself; where given it must be right."""

    @model_validator(mode="after")
    def _can_be_imported(self) -> Self:
        digest = agreed_digest(
            "function_digest",
            self.function_digest,
            _found(self.function)[1],
            f"the file of '{self.function}' has",
            "restore that file",
        )
        object.__setattr__(self, "function_digest", digest)
        return self

    def writes(self) -> pa.Schema:
        """Returns no column: what there is to know of a paraphrase, gates measure."""
        return pa.schema([])

    def open(self) -> BatchFunction:
        """Imports the function.

        Raises:
            DriftError: Its file is not the one that the recipe was planned with.
        """
        function, digest = _found(self.function)
        if digest != self.function_digest:
            raise DriftError(
                f"stage {self.name}: the file of '{self.function}' has digest {digest}, expected "
                f"{self.function_digest} as planned; restore it, or plan again"
            )

        def paraphrase_batch(batch: pa.RecordBatch) -> Columns:
            ids, numbers = batch.column("doc_id").to_pylist(), batch.column("child").to_pylist()
            seeds = [_seed(self.seed or 0, *key) for key in zip(ids, numbers, strict=True)]
            made = list(function(batch.column("text").to_pylist(), seeds))
            self._check(made, batch.num_rows)
            return {
                "text": pa.array(made, pa.large_string()),
                "operation": pa.array([f"{self.kind} {self.function}"] * len(made), pa.string()),
            }

        return paraphrase_batch

    def _check(self, made: Sequence[Any], rows: int) -> None:
        wrong = next((one for one in made if not isinstance(one, str | None)), None)
        if len(made) != rows or wrong is not None:
            found = f"{len(made)} answers" if len(made) != rows else f"a {type(wrong).__name__}"
            raise StageError(
                f"stage {self.name}: '{self.function}' gave {found} for {rows} texts; expected a "
                "text or None for each; correct the function"
            )


def _found(name: str) -> tuple[Paraphraser, str]:
    """Returns a function and the digest of its module's file.

    Raises:
        ValueError: It cannot be imported or called; one line.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:  # whatever a module raises as it is imported
        raise ValueError(
            f"function '{name}': module {module_name} cannot be imported "
            f"({type(error).__name__}: {' '.join(str(error).split()):.160}); install it, or "
            "correct its name"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        found = "no such name" if function is None else f"a {type(function).__name__}"
        raise ValueError(
            f"function '{name}': {module_name} has {found} under '{attribute}'; expected a "
            "function of texts and seeds"
        )
    path = Path(getattr(module, "__file__", None) or "")
    known = path.is_file()
    return function, file_digest(path) if known else hashlib.sha256(name.encode()).hexdigest()


def _seed(seed: int, doc_id: str, child: int) -> int:
    digest = hashlib.blake2b(digest_size=8, person=b"paraphrase")
    digest.update(f"{seed}\0{doc_id}\0{child}".encode())
    return int.from_bytes(digest.digest(), "little")
