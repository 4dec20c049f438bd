"""The dlt side of make bench-peers: every CSV file of a folder into one table. Runs in dlt's own environment."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.csv


@dlt.resource(name="kiosk", write_disposition="replace")
def kiosk(folder: Path) -> Iterator[pa.Table]:
    """Yield the files' rows in Arrow tables, which dlt need not normalise row by row."""
    for path in sorted(folder.glob("*.csv")):
        for batch in pyarrow.csv.open_csv(path):
            yield pa.Table.from_batches([batch])


destination = dlt.destinations.postgres(os.environ["TARGET"])
pipeline = dlt.pipeline("peers", destination=destination, dataset_name="public")
pipeline.run(kiosk(Path(sys.argv[1])), loader_file_format="csv")
