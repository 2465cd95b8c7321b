"""Duplicates among vectors by semhash, in an environment of its own; see ../semantic_dedup.py.

python semhash_vectors.py VECTORS.npy THRESHOLD
"""

import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from semhash import SemHash


class Encoder:
    """semhash wants one, and does not use it for vectors that are there."""

    def encode(self, inputs, **_):
        raise NotImplementedError


vectors, threshold = np.load(sys.argv[1]), float(sys.argv[2])
records = [f"document {number}" for number in range(len(vectors))]
start = time.process_time()
index = SemHash.from_embeddings(vectors, records, Encoder())
result = index.self_deduplicate(threshold)
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "removed": len(vectors) - len(result.selected)}))
