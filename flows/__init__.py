"""When and where: Prefect flows and the `curate` command; no data logic."""
