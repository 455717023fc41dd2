"""Numbers of a published run that are out of their range, and when somebody is to be told of them.

Whoever is on call is told when an anomaly begins, not again with each run in which it goes on. What went on is read
from `sf_ops.pipeline_runs`, whose column `anomalies` names those of every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Literal, get_args

from include.config.object_file import ExpectedRows
from include.quality.score import LOWEST_GOOD_SCORE

AnomalyKind = Literal[
    "too_few_records",
    "too_many_records",
    "fewer_records_than_usual",
    "more_records_than_usual",
    "low_quality",
]
KINDS: tuple[AnomalyKind, ...] = get_args(AnomalyKind)

#: Published runs before this one whose median is the usual number of records.
_USUAL_RUNS = 10
#: So many of them there must be.
_FEWEST_RUNS = 3
#: Kinds that are about the number of records.
_COUNT_KINDS = frozenset(KINDS) - {"low_quality"}
#: For an object whose file does not say what is expected.
_DEVIATION_PERCENT: float = ExpectedRows.model_fields["alert_deviation_percent"].default


@dataclass(frozen=True, kw_only=True)
class Anomaly:
    """One number that is out of its range.

    :param kind: which.
    :param found: the number, in words.
    :param expected: what it should have been, in words.
    :param since: when the first of the unbroken line of runs that had it was recorded; None: this run is the first.
    """

    kind: AnomalyKind
    found: str
    expected: str
    since: datetime | None

    def __str__(self) -> str:
        begun = f"since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else "since this run"
        return f"{self.found}, expected {self.expected}, {begun}"


def find_anomalies(
    *,
    live_records: int | None,
    quality_score: float | None,
    expected_rows: ExpectedRows | None,
    earlier: Sequence[dict[str, Any]],
) -> list[Anomaly]:
    """What is out of its range in a published run.

    :param live_records: records that are not deleted, after the run.
    :param quality_score: of the run.
    :param expected_rows: what the object file says is normal.
    :param earlier: rows of the object's published runs before this one, oldest first: live_records, anomalies and
        recorded_at of each.
    """
    found: list[tuple[AnomalyKind, str, str]] = []
    if live_records is not None:
        found += _of_count(live_records, expected_rows, earlier)
    if quality_score is not None and quality_score < LOWEST_GOOD_SCORE:
        found.append(("low_quality", f"quality score {quality_score:g}", f"{LOWEST_GOOD_SCORE:g} or more"))
    return [
        Anomaly(kind=kind, found=number, expected=expected, since=_since(kind, earlier))
        for kind, number, expected in found
    ]


def has_begun(anomalies: Sequence[Anomaly]) -> bool:
    """Whether there is one among them that the run before did not have: only then is somebody told.

    :param anomalies: of a run.
    """
    return any(anomaly.since is None for anomaly in anomalies)


def as_column(anomalies: Sequence[Anomaly]) -> str | None:
    """The kinds, as the column `anomalies` of `sf_ops.pipeline_runs` holds them.

    :param anomalies: of a run.
    """
    return ", ".join(anomaly.kind for anomaly in anomalies) or None


def _of_count(
    count: int, expected_rows: ExpectedRows | None, earlier: Sequence[dict[str, Any]]
) -> list[tuple[AnomalyKind, str, str]]:
    found: list[tuple[AnomalyKind, str, str]] = []
    number = f"{count:,} records"
    if expected_rows is not None and not expected_rows.minimum <= count <= expected_rows.maximum:
        kind: AnomalyKind = "too_few_records" if count < expected_rows.minimum else "too_many_records"
        found.append((kind, number, f"{expected_rows.minimum:,} to {expected_rows.maximum:,}"))
    counted = [row for row in earlier if row["live_records"] is not None]
    if len(counted) >= _FEWEST_RUNS:
        allowed = expected_rows.alert_deviation_percent if expected_rows else _DEVIATION_PERCENT
        usual = _median(counted)
        # A number that comes back to what it was before an anomaly is none, even if the anomaly has become usual.
        good = [row for row in counted if not _COUNT_KINDS.intersection((row["anomalies"] or "").split(", "))]
        if all(abs(count - norm) * 100 > allowed * norm for norm in (usual, _median(good or counted))):
            kind = "fewer_records_than_usual" if count < usual else "more_records_than_usual"
            runs = min(len(counted), _USUAL_RUNS)
            found.append((kind, number, f"within {allowed:g} % of {usual:,.0f}, the median of the last {runs} runs"))
    return found


def _median(rows: Sequence[dict[str, Any]]) -> float:
    return median(row["live_records"] for row in rows[-_USUAL_RUNS:])


def _since(kind: AnomalyKind, earlier: Sequence[dict[str, Any]]) -> datetime | None:
    began: datetime | None = None
    for row in reversed(earlier):
        if kind not in (row["anomalies"] or "").split(", "):
            break
        began = row["recorded_at"]
    return began
