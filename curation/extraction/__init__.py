"""Trains and measures the extractor: gold pages to labels of blocks, a forest, and its record."""
