"""Work items that need no recipe: worker processes import this module by its name."""

from dataclasses import dataclass
from pathlib import Path

from curation.errors import DataError
from curation.manifest import Record
from curation.shards import FileRecord, file_sha256
from curation.work import Item


@dataclass(frozen=True)
class NumberItem(Item):
    """Writes its number into a file; a negative one is bad data, and 13 a bug."""

    number: int = 0

    def work(self) -> Record:
        if self.number < 0:
            raise DataError(f"{self.label}: number {self.number} is negative; give 0 or more")
        if self.number == 13:
            raise ZeroDivisionError("thirteen")
        path = self.directory / f"{self.name}.txt"
        path.write_text(str(self.number), encoding="utf-8")
        sha256 = file_sha256(path)
        record = FileRecord(bytes=path.stat().st_size, sha256=sha256, rows=self.number)
        return Record(key=self.key, files={path.name: record})


def numbers(directory: Path, *values: int) -> list[Item]:
    """One item for each value."""
    return [
        NumberItem(f"numbers shard {i + 1} of {len(values)}", directory, f"n-{i:03d}", str(v), v)
        for i, v in enumerate(values)
    ]
