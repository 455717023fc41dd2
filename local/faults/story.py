"""A case that is more than a fault plan: what happens is a function, which says what is to hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from include.config.object_file import ObjectFile
from include.staging.manifest import Api
from local.faults.bench import Bench, Lake, Told, overheard
from local.org.handle import OrgHandle

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Story:
    """One thing that can go wrong.

    :param fault: what is wrong, in words; names are unique.
    :param play: lets it happen on a stage of its own, and says there what does not hold.
    :param api: by which the rows are read.
    """

    fault: str
    play: Callable[[Stage], None]
    api: Api = "rest"

    @property
    def name(self) -> str:
        """The fault and the API, as one line."""
        return f"{self.fault} ({self.api})"


def by_both(told: Iterable[tuple[str, Callable[[Stage], None]]]) -> list[Story]:
    """Stories that are played twice: the rows are read by REST, then by Bulk.

    :param told: what is wrong, and what happens.
    """
    apis: tuple[Api, ...] = ("rest", "bulk")
    return [Story(fault=fault, play=play, api=api) for fault, play in told for api in apis]


class Stage:
    """Where a story plays: an org without records, a folder for its lakes, and the record of what was seen there.

    :param org: a running org of the story's own.
    :param folder: empty.
    :param api: by which rows are read.
    """

    def __init__(self, org: OrgHandle, folder: Path, *, api: Api) -> None:
        self.org, self.folder, self.api = org, folder, api
        self.saw = ""
        self.stopped = False
        self.rows = 0
        self.problems: list[str] = []
        self._scenarios = 0

    def happens(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Load events into the org.

        :param events: lines of a scenario.
        """
        self._scenarios += 1
        path = self.folder / f"events_{self._scenarios}.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        self.org.load_events(path)

    def bench(self, name: str = "lake", *, object_file: ObjectFile | None = None) -> Bench:
        """A lake of this stage; the same name leads to the same lake.

        :param name: which lake.
        :param object_file: of the object; default: User's.
        """
        return Bench(self.org, self.folder / name, api=self.api, object_file=object_file)

    def listen(self, act: Callable[[], _T]) -> tuple[_T, Told]:
        """Let something happen, and hear what the package warns of meanwhile.

        :param act: what is done.
        """
        with overheard() as told:
            result = act()
        return result, told

    def see(self, line: str) -> None:
        """Note the line that the user sees; the first one is shown in the table.

        :param line: of the task's log.
        """
        self.saw = self.saw or line

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a problem unless something holds.

        :param holds: whether it does.
        :param otherwise: the problem, in words.
        """
        if not holds:
            self.problems.append(otherwise)

    def refused(self, error: type[Exception], act: Callable[[], object], *, says: str = "") -> None:
        """Do what must be refused; the message is what the user sees.

        :param error: how it is refused, exactly.
        :param act: what is done.
        :param says: text that the message holds.
        """
        self.stopped = True
        try:
            with overheard():
                act()
        except Exception as problem:  # noqa: BLE001  (the story says which one is right)
            self.see(f"{type(problem).__name__}: {problem}")
            if type(problem) is not error:
                self.problems.append(f"expected {error.__name__}, got {problem!r}")
            elif says not in str(problem):
                self.problems.append(f"the message does not say {says!r}: {problem}")
        else:
            self.problems.append(f"expected {error.__name__}, but nothing was refused")

    def compare(self, lake: Lake, oracle: Lake) -> None:
        """Compare mirror and log, row for row.

        :param lake: after what went wrong.
        :param oracle: what it ought to hold.
        """
        self.rows += oracle.rows.total()
        self.problems += [f"too many: {row}" for row in (lake.rows - oracle.rows).elements()]
        self.problems += [f"missing: {row}" for row in (oracle.rows - lake.rows).elements()]

    def equal(self, found: Iterable[Hashable], expected: Iterable[Hashable], *, what: str) -> None:
        """Compare rows that the story has worked out by itself, in whatever order.

        :param found: as they are.
        :param expected: as they ought to be.
        :param what: of which they are rows.
        """
        there, wanted = Counter(found), Counter(expected)
        self.rows += wanted.total()
        self.problems += [f"{what}: too many: {row}" for row in (there - wanted).elements()]
        self.problems += [f"{what}: missing: {row}" for row in (wanted - there).elements()]
