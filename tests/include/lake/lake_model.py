"""What an upsert must leave behind, in plain Python over lists of dicts. Shares no code with the engine.

Two steps a run, as in the real thing, so that a crash can be put between them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class LakeModel:
    """Log and mirror of one object."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self.log: list[Record] = []
        self.mirror: dict[str, Record] = {}
        self.watermark: datetime | None = None
        self.last_full_refresh: datetime | None = None

    def order(self, row: Record) -> tuple[Any, ...]:
        return (row["_window_end"], row[self.cursor] or BEGINNING, row["_extracted_at"], row["_row_hash"])

    def history(self, key: str, until: datetime | None = None) -> list[Record]:
        rows = [row for row in self.log if row["id"] == key and (until is None or row["_window_end"] <= until)]
        return sorted(rows, key=self.order)

    def run(
        self,
        records: list[Record],
        *,
        present: set[str],
        start: datetime | None,
        end: datetime,
        full: bool,
        batch: tuple[str, datetime],
        digest: Any,
        crash: bool = False,
    ) -> None:
        """One upsert; `digest` is the engine's own row hash of one record, which other tests pin down."""
        self.recover()
        run_id, extracted_at = batch
        tail = {"_window_end": end, "_extracted_at": extracted_at, "_extraction_run_id": run_id}
        candidates = []
        for record in records:
            if record[self.cursor] is None or record[self.cursor] < end:
                candidates.append({**record, **tail, "_row_hash": digest(record), "_change": "upsert"})
        known = [moment for moment in (self.watermark, self.last_full_refresh) if moment is not None]
        judged = full and all(end >= moment for moment in known)
        if judged:
            read = {record["id"] for record in records} | present
            for key, row in self.mirror.items():
                later = [seen for seen in self.history(key) if seen["_window_end"] > end]
                if row["isdeleted"] or key in read or later:
                    continue
                gone = {name: value for name, value in row.items() if not name.startswith("_")}
                gone.update(isdeleted=True, lastmodifieddate=end, systemmodstamp=end)
                candidates.append({**gone, **tail, "_row_hash": digest(gone), "_change": "delete"})
        added = []
        for row in candidates:
            before = self.history(row["id"], until=end)
            if before and (before[-1]["_change"], before[-1]["_row_hash"]) == (row["_change"], row["_row_hash"]):
                continue
            same_batch = [r for r in before if (r["_extraction_run_id"], r["_extracted_at"]) == batch]
            if same_batch and row["_change"] == "upsert":
                continue
            added.append(row)
        self.log.extend(added)
        if crash:
            return
        self.recover()
        if start is None or (self.watermark is not None and start <= self.watermark):
            self.watermark = max(self.watermark or end, end)
        if judged:
            self.last_full_refresh = max(self.last_full_refresh or end, end)

    def recover(self) -> None:
        """The mirror is the last observation of each Id."""
        for key in {row["id"] for row in self.log}:
            last = self.history(key)[-1]
            self.mirror[key] = {name: value for name, value in last.items() if name not in ("_change", "_window_end")}
