"""Airflow's part in asset events, as a task sees it: past ones of its inlets, and those that it makes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Self

from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors


class Events:
    """The asset events of an Airflow, by the asset's name. Those of a task are kept once it has succeeded."""

    def __init__(self) -> None:
        self.kept: dict[str, list[dict[str, Any]]] = {}

    def context(self, **more: Any) -> dict[str, Any]:
        """A task's context.

        :param more: what else is in it.
        """
        instance = SimpleNamespace(xcom_push=lambda **_: None, xcom_pull=lambda **_: None)
        events = {"inlet_events": _Inlets(self.kept), "outlet_events": OutletEventAccessors()}
        return {"run_id": "run", "ti": instance, **events, **more}

    def succeeded(self, context: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The task has succeeded: Airflow keeps what it announced.

        :return: the extra of each event, by the asset's name.
        """
        made = {
            event.dest_asset_key.name: dict(event.extra)
            for accessor in context["outlet_events"]._dict.values()
            for event in accessor.asset_alias_events
        }
        for name, extra in made.items():
            self.kept.setdefault(name, []).append(extra)
        return made


class _Inlets:
    def __init__(self, kept: dict[str, list[dict[str, Any]]]) -> None:
        self.kept = kept

    def __getitem__(self, asset: Asset) -> _Past:
        return _Past(self.kept.get(asset.name, []))


class _Past:
    def __init__(self, extras: list[dict[str, Any]]) -> None:
        self.extras = extras

    def ascending(self, ascending: bool) -> Self:
        return self if ascending else type(self)(self.extras[::-1])

    def limit(self, limit: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(extra=extra) for extra in self.extras[:limit]]
