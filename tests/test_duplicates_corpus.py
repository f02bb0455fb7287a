"""Real technical documentation with planted copies and the complete list of true pairs."""

from pathlib import Path

import polars as pl
import pytest

from curate.duplicates import DuplicatesConfig, NearDuplicates, clusters, find_pairs

CORPUS = Path(__file__).parents[1].parent / "shared" / "corpora" / "planted_dups"

pytestmark = pytest.mark.skipif(
    not CORPUS.exists(), reason="needs ../shared/corpora/planted_dups, not found: skipped"
)


@pytest.mark.parametrize(
    ("preset", "least_recall", "least_f1"),
    [("fineweb", 0.990, 0.995), ("balanced", 0.999, 0.999), ("high_recall", 0.999, 0.999)],
)
def test_documents_with_a_true_partner_are_found(preset, least_recall, least_f1):
    documents = pl.read_parquet(CORPUS / "docs.parquet", columns=["id", "text"])
    documents = documents.with_columns(pl.col("id").cast(pl.String))
    truth = pl.read_parquet(CORPUS / "exact_pairs.parquet").filter(pl.col("J") >= 0.8)
    true = set(truth["i"].cast(pl.String)) | set(truth["j"].cast(pl.String))
    config = DuplicatesConfig(near=NearDuplicates(preset=preset))
    pairs = find_pairs(lambda: documents.iter_slices(500), config)
    clustered = clusters(pairs, documents["id"]).drop_nulls("cluster_id")
    found = set(clustered["id"])
    recall, precision = len(found & true) / len(true), len(found & true) / len(found)
    assert recall >= least_recall
    assert 2 * precision * recall / (precision + recall) >= least_f1
