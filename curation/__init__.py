"""Data-centric curation: raw web and domain text in, Arrow shards and a trained model out."""

__version__ = "0.1.0"
