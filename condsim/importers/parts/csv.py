"""CSV files, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.csv as pcsv
import pyarrow.lib as pa

from condsim.errors import CondsimError


def csv_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield some rows at a time of the columns that are named, none of them empty.

    Raises CondsimError where a line has other columns, or a value another type, than those before.
    """
    options = pcsv.ConvertOptions(include_columns=list(columns))  # type: ignore[attr-defined]
    try:
        with pcsv.open_csv(path, convert_options=options) as file:  # type: ignore[attr-defined]
            for batch in file:
                if batch.num_rows:
                    yield batch
    except (pa.ArrowException, OSError, KeyError) as error:
        first_line = str(error).splitlines()[0]
        raise CondsimError(f"{path} is damaged or truncated ({first_line})") from error
