"""Training of quality models: texts of two sides, fastText, held-out measures and the report."""
