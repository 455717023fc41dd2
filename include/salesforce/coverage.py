"""Up to which cursor nothing is missing: late commits are not lost, because the watermark does not pass them.

A transaction stamps its rows when it writes them and shows them when it commits, which may be hours later. getUpdated
names the moment before which nothing is pending (latestDateCovered); it is asked for before the rows are read, so that
whatever lies before it is among them.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from include.salesforce import soql
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import ObjectMissing, PermissionMissing, QueryRefused, QueryTooSlow, SalesforceProblem
from include.staging.manifest import ReadPlan

log = logging.getLogger(__name__)

#: getUpdated looks back 30 days; no transaction lasts that long.
_RETENTION = timedelta(days=29)
_MINUTE = timedelta(minutes=1)
#: getUpdated wants more than a minute; it lists the Ids of its span, so a short one is asked about.
_ASKED = timedelta(minutes=2)
_DOES_WITHOUT = (QueryRefused, ObjectMissing, PermissionMissing, QueryTooSlow)


def covered_until(client: SalesforceClient, plan: ReadPlan) -> datetime:
    """The cursor up to which a read that starts now misses nothing; at most the window's end.

    :param client: the org.
    :param plan: the read; an object without getUpdated is covered up to the org's clock when it was planned, and by
        the lookback.
    """
    now, end = plan.planned_at, plan.window.end
    reached = min(end, now)
    if not plan.replicateable or reached < now - _RETENTION:
        return reached
    last = _floor(end + _MINUTE - timedelta(microseconds=1))
    asked = last if last <= now else _floor(now)
    try:
        said = client.get_json(
            f"sobjects/{soql.identifier(plan.object)}/updated/",
            params={"start": soql.moment(asked - _ASKED), "end": soql.moment(asked)},
            what=f"asking up to when {plan.object} is covered",
        )
    except SalesforceProblem as error:
        if type(error) is not SalesforceProblem and not isinstance(error, _DOES_WITHOUT):
            raise
        log.warning("%s Late commits are covered by the lookback alone.", error.what)
        return reached
    covered = datetime.fromisoformat(said["latestDateCovered"].replace("+0000", "+00:00")).astimezone(UTC)
    if covered < reached - _MINUTE:
        log.warning(
            "%s: changes since %s are not all committed yet; the watermark stays there and later runs read them again",
            plan.object,
            soql.moment(covered),
        )
    return min(reached, covered)


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
