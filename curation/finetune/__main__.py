"""`python -m curation.finetune job.json`: trains, and tells its progress as JSON lines on stdout.

Also under torchrun, one process a device. Errors are one line on stderr and one "error" line on
stdout; exit code 2 for a job that cannot be run as written, 1 for anything else.
"""

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402 - the clock starts before the imports, which take seconds
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from types import FrameType  # noqa: E402
from typing import IO  # noqa: E402

from curation.errors import CurationError  # noqa: E402
from curation.finetune.progress import Progress  # noqa: E402
from curation.handoff import PreparedJob, read_job  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Runs one job and returns the exit code."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    progress = Progress(_own_stdout() if os.environ.get("RANK", "0") == "0" else None, STARTED)
    try:
        prepared = read_job(options.job)
        moved = {"dataset": options.dataset, "output": options.out}
        update = {name: path.resolve() for name, path in moved.items() if path is not None}
        prepared = prepared.model_copy(update=update)
        if options.held_out is not None:
            prepared = prepared.with_held_out(options.held_out.resolve())
        _train(prepared, progress)
    except CurationError as error:
        message = " ".join(str(error).split())
        progress.emit("error", kind=type(error).__name__, message=message)
        print(message, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("training: stopped; nothing was changed", file=sys.stderr)
        return 130
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m curation.finetune",
        description="Trains as a job.json says. Example: python -m curation.finetune out/job.json",
    )
    parser.add_argument("job", type=Path, help="the job.json that `curate finetune` wrote")
    parser.add_argument("--dataset", type=Path, help="where the dataset lies now, if it was moved")
    parser.add_argument("--held-out", type=Path, help="where the held-out dataset lies now")
    parser.add_argument("--out", type=Path, help="write here instead of where the job says")
    return parser.parse_args(arguments)


def _train(prepared: PreparedJob, progress: Progress) -> None:
    """Sets what torch and transformers read from the environment, then loads them and runs."""
    if prepared.job.model.hub_id is None:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products
    # Threads that wait must sleep: spinning, two threads beside another busy process took 5 times
    # the CPU and the wall time of sleeping ones (0.65 M parameters, 1,024 tokens a step).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "WORLD_SIZE" not in os.environ:
        # Several visible devices would make the Trainer replicate within this process, at another
        # batch size; torchrun is the way to use them all.
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        os.environ["CUDA_VISIBLE_DEVICES"] = first
    from transformers.utils import logging

    from curation.finetune.run import run

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    run(prepared, progress)


def _own_stdout() -> IO[str]:
    """Keeps stdout for progress lines; whatever else prints there goes to stderr."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return lines


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
