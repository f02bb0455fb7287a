"""What runs inside datatrove's own environment: its filters over a Parquet file of texts.

Writes one JSON line a document: the first failing rule of each filter, or true; and last the CPU
seconds of each filter.
"""

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

FILTERS = {
    "gopher_quality": GopherQualityFilter(),
    "gopher_repetition": GopherRepetitionFilter(),
    "fineweb": FineWebQualityFilter(),
    "c4": C4QualityFilter(),
}


def main(source: str, target: str, names: list[str]) -> None:
    rows = pq.read_table(source, columns=["id", "text"]).to_pylist()
    seconds = dict.fromkeys(names, 0.0)
    with Path(target).open("w", encoding="utf-8") as out:
        for row in rows:
            verdicts = {"id": row["id"]}
            for name in names:
                start = time.process_time()
                found = FILTERS[name].filter(Document(text=row["text"], id=row["id"]))
                seconds[name] += time.process_time() - start
                verdicts[name] = "" if found is True else found[1]
            out.write(json.dumps(verdicts) + "\n")
        out.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3].split(","))
