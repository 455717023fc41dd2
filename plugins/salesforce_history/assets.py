"""Airflow assets: the tables that other DAGs may schedule on, and the events that say that one has changed.

An asset's name and URI are the table's qualified name, so that `Asset("sf_curated.dim_sf_user_scd")` is all that a
consumer writes. Staging and intermediate models are none: they are the history's own working tables.

An event means that rows have changed. Airflow makes one for each outlet of a task that succeeds, whatever it did; so
the outlet is an alias of the object, and assets are added to it while the task runs. What was announced last is told
by the last event itself, which holds the Iceberg snapshot: a change whose announcement was lost with a killed task is
announced by the next run, and a task that is cleared announces nothing anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import Asset, AssetAlias, BaseOperator, Context

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.names import RawTables
from include.staging.manifest import ReplayManifest, UpsertManifest, ValidationManifest

if TYPE_CHECKING:
    from include.flow import Flow

log = logging.getLogger(__name__)

GROUP = "salesforce_history"

#: Key of an event's extra: the Iceberg snapshot that it announces. As text, because JavaScript rounds such numbers.
SNAPSHOT = "snapshot_id"
#: How many events are looked through for the last one of ours: a person may have made some by hand.
_LOOK_BACK = 20

#: What an event of the dimension tells of its run: columns of `sf_ops.pipeline_runs`.
PUBLISHED = ("versions_opened", "versions_closed", "versions_deleted", "versions", "records")


@dataclass(frozen=True, kw_only=True)
class ObjectAssets:
    """The assets of one object.

    :param mirror: one row an Id: its last observation.
    :param changes: the log of observations.
    :param quarantine: records that were rejected.
    :param dimension: the versions.
    :param current: the view of current versions; it changes when the dimension does.
    :param snapshot: dbt's own snapshot of the mirror.
    :param alias: all of them: whoever schedules on it is told of every change of the object.
    """

    mirror: Asset
    changes: Asset
    quarantine: Asset
    dimension: Asset
    current: Asset
    snapshot: Asset
    alias: AssetAlias

    @classmethod
    def of(cls, object_file: ObjectFile, environment: Environment) -> Self:
        """The assets of an object in an environment.

        :param object_file: the object.
        :param environment: where; its namespaces are in the assets' names.
        """
        tables = RawTables.of(object_file, environment)
        return cls(
            mirror=Asset(tables.mirror, group=GROUP),
            changes=Asset(tables.changes, group=GROUP),
            quarantine=Asset(tables.quarantine, group=GROUP),
            dimension=Asset(tables.dimension, group=GROUP),
            current=Asset(f"{environment.curated_namespace}.dim_{object_file.table}_current", group=GROUP),
            snapshot=Asset(tables.snapshot, group=GROUP),
            alias=AssetAlias(object_file.dag_id, group=GROUP),
        )

    def declare(self, *, validate: BaseOperator, upsert: BaseOperator, publish: BaseOperator) -> None:
        """Give the tasks that announce their outlet, and as inlets the tables that they read.

        Inlets make an asset known to Airflow before its first event, and open its past events to the task.

        :param validate: the task that writes the quarantine.
        :param upsert: the task that writes log and mirror, and the quarantine in a replay.
        :param publish: the task that counts what dbt has published.
        """
        validate.add_inlets([self.quarantine])
        upsert.add_inlets([self.mirror, self.changes, self.quarantine])
        publish.add_inlets([self.dimension, self.current, self.snapshot])
        for task in (validate, upsert, publish):
            task.add_outlets([self.alias])


def announce_rejected(context: Context, flow: Flow, manifest: ValidationManifest) -> None:
    """Say that the quarantine has changed, if it has.

    :param context: the task's.
    :param flow: the object, and its lake.
    :param manifest: what validate did.
    """
    assets = ObjectAssets.of(flow.object_file, flow.environment)
    told = {"rows_quarantined": manifest.rejected, "rows_accepted": manifest.accepted, "reasons": manifest.reasons}
    _announce(context, flow, [assets.quarantine], assets.alias, told)


def announce_upsert(context: Context, flow: Flow, manifest: UpsertManifest, replay: ReplayManifest | None) -> None:
    """Say which of log, mirror and quarantine have changed.

    :param context: the task's.
    :param flow: the object, and its lake.
    :param manifest: what the upsert did.
    :param replay: what the replay of the quarantine did, if there was one.
    """
    assets = ObjectAssets.of(flow.object_file, flow.environment)
    told: dict[str, Any] = {
        "rows_logged": manifest.logged,
        "deletions": manifest.deleted,
        "rows_inserted": manifest.inserted,
        "rows_updated": manifest.updated,
        "mirror_rows": manifest.mirror_rows,
        "watermark": manifest.watermark.isoformat() if manifest.watermark else None,
    }
    if replay:
        told |= {"rows_replayed": replay.replayed, "rows_logged": manifest.logged + replay.logged}
    _announce(context, flow, [assets.changes, assets.mirror, assets.quarantine], assets.alias, told)


def announce_published(context: Context, flow: Flow, row: Mapping[str, Any]) -> None:
    """Say which of dimension, its view and dbt's snapshot have changed. Only for a run that has published.

    :param context: the task's.
    :param flow: the object, and its lake.
    :param row: the run as `sf_ops.pipeline_runs` has it.
    """
    assets = ObjectAssets.of(flow.object_file, flow.environment)
    told = {name: row.get(name) for name in PUBLISHED}
    told["history_rebuilt"] = bool(row.get("history_rebuilt"))
    announced = _announce(context, flow, [assets.dimension, assets.snapshot], assets.alias, told)
    if snapshot_id := announced.get(assets.dimension.name):
        # A view has no snapshots: it shows another one of the dimension's.
        _add(context, assets.current, assets.alias, {**told, SNAPSHOT: snapshot_id})


def _announce(
    context: Context, flow: Flow, assets: Sequence[Asset], alias: AssetAlias, told: Mapping[str, Any]
) -> dict[str, str]:
    """Make an event of every asset whose rows have changed since its last one.

    :return: the snapshots that were announced, by the asset's name.
    """
    from include.lake.data_changes import changed_since

    announced = {}
    for asset in assets:
        current = changed_since(flow.catalog, asset.name, _announced_last(context, asset))
        if current is not None:
            announced[asset.name] = str(current)
            _add(context, asset, alias, {**told, SNAPSHOT: announced[asset.name]})
    return announced


def _announced_last(context: Context, asset: Asset) -> int | None:
    events = context["inlet_events"][asset].ascending(False).limit(_LOOK_BACK)
    texts = (str((event.extra or {}).get(SNAPSHOT, "")) for event in events)
    return next((int(text) for text in texts if text.isdecimal()), None)


def _add(context: Context, asset: Asset, alias: AssetAlias, told: Mapping[str, Any]) -> None:
    extra = {"run_id": context["run_id"], **told}
    context["outlet_events"][alias].add(asset, extra=extra)
    log.info("%s has changed: %s", asset.name, extra)
