"""The accepted records of a run on their way to an engine: with their hashes, which are computed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from include.lake.accepted import conformed
from include.lake.engine_statements import ACCEPTED, HASH, Batch
from include.lake.erased import ErasedIds
from include.lake.row_hash import row_hashes
from include.staging.manifest import ValidationManifest
from include.staging.store import read_batches

_BATCH_ROWS = 65_536
_MOMENT = pa.timestamp("us", tz="UTC")


class Incoming:
    """Accepted records, and the Ids of those that are there although they were rejected.

    :param validation: names the files.
    :param columns: the source columns.
    :param schema: of those that the log has, in its types.
    :param batch: the run.
    :param erased: records that are left out.
    """

    def __init__(
        self,
        *,
        validation: ValidationManifest,
        columns: Sequence[str],
        schema: pa.Schema,
        batch: Batch,
        erased: ErasedIds,
    ) -> None:
        self.validation, self.columns, self.schema = validation, columns, schema
        self.batch, self.erased = batch, erased
        #: Accepted records read so far, and those of them whose cursor lies before the window's end, or is missing.
        self.count = self.within = 0

    def rows(self) -> Iterator[pa.Table]:
        """A batch at a time."""
        end = pa.scalar(self.batch.window_end, _MOMENT)
        for batch in read_batches(self.validation.files, batch_rows=_BATCH_ROWS):
            kept = self.erased.without(batch)
            cursor = kept.column(self.batch.cursor).cast(_MOMENT)
            self.count += len(kept)
            self.within += pc.sum(pc.less(cursor, end).fill_null(True)).as_py() or 0
            yield self._with(kept, row_hashes(kept, self.columns), accepted=True)
        for batch in read_batches(self.validation.present_files, ["id"], batch_rows=_BATCH_ROWS):
            ids = pa.RecordBatch.from_arrays([batch.column("id").cast(pa.string())], names=["id"])
            yield self._with(ids, pa.nulls(len(ids), pa.string()), accepted=False)

    def _with(self, batch: pa.RecordBatch, hashes: pa.Array | pa.ChunkedArray, *, accepted: bool) -> pa.Table:
        rows = pa.Table.from_batches([conformed(batch, self.schema)], self.schema)
        flags = pa.repeat(pa.scalar(accepted), rows.num_rows)
        return rows.append_column(HASH, hashes).append_column(ACCEPTED, flags)
