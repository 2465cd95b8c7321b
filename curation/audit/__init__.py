"""Questions to a finished dataset: what happened to a document, what was rejected, is it whole.

Everything is answered from `manifest.json`, `audit/*.parquet` and the shards; nothing is re-run.
"""

from curation.audit.checks import verify
from curation.audit.counterfactual import Outcome, decide, outcome_json
from curation.audit.differences import Difference, diff
from curation.audit.families import Operation, operations, pairs
from curation.audit.routes import Hop, Route, find_documents, trace
from curation.audit.samples import sample
from curation.audit.tables import connect

__all__ = [
    "Difference",
    "Hop",
    "Operation",
    "Outcome",
    "Route",
    "connect",
    "decide",
    "diff",
    "find_documents",
    "operations",
    "outcome_json",
    "pairs",
    "sample",
    "trace",
    "verify",
]
