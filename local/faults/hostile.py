"""Stories of records that are hostile: to SQL, to CSV, to calendars, to whoever ignores the case of ids."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from include.salesforce.window import RunRequest, WindowRefused
from local.faults.bench import Bench, numbered_run
from local.faults.story import Stage, Story, by_both
from local.faults.world import MIDNIGHT, NOON, SIX, iso
from local.org.faults import QUERY, RESULTS, Fault, Replace
from local.org.ids import to_18

_TEXTS = (
    "'; drop table sf_raw.sf_user; --",
    "' OR Name != '",
    '"quoted", and a comma\nand a line\r\nand "another',
    "{{ 1/0 }} ${HOME} %s \\' \\",
    "NUL \x00 inside",
    "👩‍👩‍👧‍👦 🇩🇪 \U0010ffff",
    "\u202enoitcerid\u202c نورة שלום",
    "\ufeff\u2028 Å A\u030a",
    "null",
    " ",
)
_LONGEST = 131_072


def stories() -> list[Story]:
    """All of them, by REST and by Bulk."""
    told = (
        ("names full of quotes, newlines, NUL and emoji", _texts),
        ("131,072-character values", _long),
        ("CreatedDate in the year 1, a cursor in the year 9999", _ends_of_time),
        ("ids that differ only in case", _twins),
        ("15-character ids", _short_ids),
    )
    return [*by_both(told), Story(fault="a window that ends in the year 9999", play=_far_future)]


def _texts(stage: Stage) -> None:
    values = {_user(number): text for number, text in enumerate(_TEXTS)}
    _live(stage, values)
    _same(stage, stage.bench(), values)


def _long(stage: Stage) -> None:
    stage.org.change_schema("alter", "User", {"name": "Division", "length": _LONGEST})
    letters = ("x", "é", "東", "😀", "'", '"', "\n", "\\")
    values = {_user(number): letter * _LONGEST for number, letter in enumerate(letters)}
    _live(stage, values)
    _same(stage, stage.bench(), values)


def _ends_of_time(stage: Stage) -> None:
    values = {_user(number): "North" for number in range(3)}
    _live(stage, values, CreatedDate="0001-01-01T00:00:00Z")
    at = iso(MIDNIGHT + timedelta(seconds=2)).removesuffix("Z")
    zone = ".000+0000" if stage.api == "rest" else ".000Z"
    _strike(stage, {f"{at}{zone}": f"9999-12-31T23:59:59{zone}"})
    lake = stage.bench()
    _, told = stage.listen(lambda: _run(stage, lake, 1))
    stage.see(next((line for line in told.lines if "more than a day after" in line), ""))
    stage.expect(any(_user(2) in line for line in told.lines), "nobody was told of the cursor in the year 9999")
    stage.org.clear_faults()
    _run(stage, lake, 3)
    rows = lake.flow.catalog.load_table(lake.flow.tables.mirror).scan().to_arrow().to_pylist()
    first = datetime(1, 1, 1, tzinfo=UTC)
    stage.equal(
        [(row["id"], row["createddate"], row["isdeleted"]) for row in rows],
        [(of, first, False) for of in values],
        what="mirror",
    )


def _twins(stage: Stage) -> None:
    values = {_twin(number): f"Division {number}" for number in range(64)}
    _live(stage, values)
    _same(stage, stage.bench(), values)


def _short_ids(stage: Stage) -> None:
    values = {_twin(number): f"Division {number}" for number in range(64)}
    _live(stage, values)
    calm, struck = stage.bench("calm"), stage.bench("struck")
    _same(stage, calm, values)
    _strike(stage, {of: of[:15] for of in values})
    _same(stage, struck, values)
    stage.compare(struck.lake(), calm.lake())


def _far_future(stage: Stage) -> None:
    _live(stage, {_user(0): "North"})
    stage.org.set_clock(SIX)
    until = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    request = RunRequest(kind="manual", run_after=SIX, until=until)
    stage.refused(WindowRefused, lambda: stage.bench().run(request), says="the future cannot be read")
    _same(stage, stage.bench(), {_user(0): "North"})


def _user(number: int) -> str:
    return to_18(f"005{number:012d}")


def _twin(number: int) -> str:
    """One of 64 ids that differ only in the case of six letters."""
    letters = "".join(one.upper() if number >> place & 1 else one for place, one in enumerate("abcdef"))
    return to_18(f"005000000{letters}")


def _live(stage: Stage, values: dict[str, str], **fields: Any) -> None:
    stage.happens(
        {"at": iso(MIDNIGHT + timedelta(seconds=number)), "op": "insert", "object": "User", "Id": of}
        | {"fields": {"Name": value[:100], "Division": value, **fields}}
        for number, (of, value) in enumerate(values.items())
    )


def _strike(stage: Stage, texts: dict[str, str]) -> None:
    path = QUERY if stage.api == "rest" else RESULTS
    stage.org.set_faults([Fault(do=Replace(texts=texts), path=path, lacks="COUNT()", times=None)])


def _run(stage: Stage, lake: Bench, number: int) -> None:
    stage.org.set_clock(NOON + timedelta(hours=6) if number == 3 else SIX)
    lake.run(numbered_run(number))


def _same(stage: Stage, lake: Bench, values: dict[str, str]) -> None:
    """The run leaves what went in, value for value."""
    stage.listen(lambda: _run(stage, lake, 1))
    found: Iterable[tuple[str, Any]] = ((of, row[0]) for of, row in lake.lake().mirror.items())
    stage.equal(found, values.items(), what="mirror")
