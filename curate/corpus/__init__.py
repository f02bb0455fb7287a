"""Documents in and out: schema, readers, quarantine, fingerprints, the curated folder."""

from curate.corpus.columns import absent_columns
from curate.corpus.croissant import write_croissant
from curate.corpus.curated import CuratedResult, write_curated
from curate.corpus.decontamination import DecontaminationConfig, decontaminate
from curate.corpus.fingerprints import fingerprint
from curate.corpus.ingestion import (
    BrokenFile,
    IngestResult,
    MissingColumnError,
    check_counts,
    ingest,
    ingest_beside,
)
from curate.corpus.inputs import (
    FORMATS,
    InputConfig,
    InputFile,
    find_files,
    keys_named,
    reads_below,
)
from curate.corpus.parts import quarantined_rows
from curate.corpus.peek import FirstRows, first_rows
from curate.corpus.scan import scan_corpus
from curate.corpus.schema import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA, RESERVED_COLUMNS, conform
from curate.corpus.storage import (
    clear_parts,
    file_digest,
    folder_digest,
    write_atomically,
    write_bytes_atomically,
)

__all__ = [
    "DOCUMENT_SCHEMA",
    "FORMATS",
    "QUARANTINE_SCHEMA",
    "RESERVED_COLUMNS",
    "BrokenFile",
    "CuratedResult",
    "DecontaminationConfig",
    "FirstRows",
    "IngestResult",
    "InputConfig",
    "InputFile",
    "MissingColumnError",
    "absent_columns",
    "check_counts",
    "clear_parts",
    "conform",
    "decontaminate",
    "file_digest",
    "find_files",
    "fingerprint",
    "first_rows",
    "folder_digest",
    "ingest",
    "ingest_beside",
    "keys_named",
    "quarantined_rows",
    "reads_below",
    "scan_corpus",
    "write_atomically",
    "write_bytes_atomically",
    "write_croissant",
    "write_curated",
]
