"""One temporary Prefect server for all flow tests, away from the developer's own Prefect."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

pytest.importorskip("prefect", reason="flows need: pip install 'curation[flows]'")

# Before any test module imports the flows: they set Prefect's environment when imported.
os.environ["CURATION_HOME"] = tempfile.mkdtemp(prefix="curation-tests-")
atexit.register(shutil.rmtree, os.environ["CURATION_HOME"], ignore_errors=True)
os.environ.pop("PREFECT_API_URL", None)


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    """The temporary server, shared by the session: it takes some 10 to 20 s to start."""
    from flows.server import prefect_server

    with prefect_server():
        yield
