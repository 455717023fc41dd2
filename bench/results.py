"""The samples on disk: kept after every measurement, so that a long run can be broken off and taken up again."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.machine import Machine
from bench.measure import Sample
from bench.suite import Results


class Record(BaseModel):
    """A whole run: the machine, and suite → case → subject → samples."""

    model_config = ConfigDict(extra="forbid")

    machine: Machine
    quick: bool
    suites: dict[str, dict[str, dict[str, list[Sample]]]] = {}

    def samples(self, suite: str, case: str, subject: str) -> list[Sample]:
        """The samples of one subject, to be added to.

        :param suite: its name.
        :param case: its key.
        :param subject: its name.
        """
        return self.suites.setdefault(suite, {}).setdefault(case, {}).setdefault(subject, [])

    def of(self, suite: str) -> Results:
        """The results of a suite.

        :param suite: its name.
        """
        return Results(self.suites.get(suite, {}))

    def save(self, path: Path) -> None:
        """Write it down, whole or not at all.

        :param path: where to.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """What was written down; None if there is nothing.

        :param path: where it is.
        """
        return cls.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None
