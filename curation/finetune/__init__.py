"""The only torch code: run as `python -m curation.finetune job.json`, or under torchrun."""
