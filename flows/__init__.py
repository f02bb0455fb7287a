"""Prefect flows: names, retries, artifacts and schedules over the stages of `curate.pipeline`."""
