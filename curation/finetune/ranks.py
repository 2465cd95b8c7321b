"""The processes of a run: alone, or several under torchrun that share one file system."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from curation.finetune.device import join_processes

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
_FREEING_SECONDS = 0.2
_KEPT: list[Any] = []


class Ranks:
    """Who else trains, and how they wait for each other.

    A collective operation fails after the process group's time-out (10 minutes with NCCL). So the
    others wait for what the first process does alone, like scoring, by looking for a file, however
    long it takes; should the first process die, torchrun ends them.
    """

    def __init__(self) -> None:
        """Joins the processes of a torchrun, or finds this one alone."""
        self._state = join_processes()
        self.count: int = self._state.num_processes
        self.is_main: bool = self._state.is_main_process

    def meet(self) -> None:
        """Waits for all; only where all come at about the same time."""
        self._state.wait_for_everyone()

    def await_main(self, mark: Path) -> None:
        """Returns in the others once the first process has come here too.

        Args:
            mark: A file of this run that nobody has made yet, in a directory that all can see.
        """
        if self.count == 1:
            return
        if self.is_main:
            mark.touch()
        pause = _FIRST_PAUSE
        while not mark.exists():
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def gather(self, values: list[float]) -> list[list[float]]:
        """Returns the values of every process, in the order of their numbers, to every process."""
        if self.count == 1:
            return [values]
        mine = torch.tensor(values, dtype=torch.float64, device=self._state.device)
        everyone = [torch.empty_like(mine) for _ in range(self.count)]
        distributed.all_gather(everyone, mine)
        return [one.tolist() for one in everyone]

    def part(self, shared: Any) -> None:
        """Ends the process group: what comes after, each process does alone.

        Left to the interpreter's end, gloo aborts now and then. And a thread of gloo frees the
        tensors of the last operation, for which it needs the interpreter's lock; were the group
        destroyed by someone who holds that lock, both would wait for ever. So the last operation
        is one without tensors, the thread gets its time, and the model keeps the group until then.

        Args:
            shared: The model as it was shared among processes; kept to the end of the process.
        """
        if self.count > 1:
            _KEPT.append(shared)
            self.meet()
            time.sleep(_FREEING_SECONDS)
        self._state.destroy_process_group()
