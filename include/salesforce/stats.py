"""What an extraction cost, read back from the manifest that it left beside its files."""

from __future__ import annotations

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.salesforce.extraction import MANIFEST
from include.staging import store
from include.staging.manifest import ExtractionManifest


class NoExtraction(LookupError):
    """There is no manifest of such a run on the staging store."""


def get_extraction_stats(
    *, environment: Environment, object_file: ObjectFile, run_id: str | None = None
) -> ExtractionManifest:
    """The manifest, `stats` included, of an extraction.

    :param environment: whose staging store to look in.
    :param object_file: whose extraction.
    :param run_id: Airflow's run id; default: the newest extraction that is on the store.
    :raises NoExtraction: naming the runs that are there.
    """
    folder = store.join(environment.staging_uri, object_file.table)
    if run_id is not None:
        wanted = store.run_folder(
            staging_uri=environment.staging_uri, table=object_file.table, run_id=run_id, step="extract"
        )
        text = store.read_text(store.join(wanted, MANIFEST))
        if text is not None:
            return ExtractionManifest.model_validate_json(text)
    texts = [text for uri in store.find_files(folder, MANIFEST) if (text := store.read_text(uri))]
    manifests = sorted((ExtractionManifest.model_validate_json(text) for text in texts), key=lambda m: m.extracted_at)
    if run_id is None and manifests:
        return manifests[-1]
    known = ", ".join(manifest.plan.run_id for manifest in manifests[-5:]) or "none"
    asked = f"run {run_id!r} of {object_file.object}" if run_id else object_file.object
    raise NoExtraction(f"no extraction of {asked} is on the staging store. The last ones there: {known}.")


def render_stats(manifest: ExtractionManifest) -> str:
    """An extraction's numbers as lines of text.

    :param manifest: from `get_extraction_stats` or `extract`.
    """
    plan, stats = manifest.plan, manifest.stats
    start = plan.window.start.isoformat() if plan.window.start else "the beginning"
    used = "not said" if stats.api_usage_percent is None else f"{stats.api_usage_percent:g} % of the day's"
    rate = stats.rows / stats.seconds if stats.seconds else 0
    lines = {
        "object": f"{plan.object} (org {plan.org_id})",
        "run": plan.run_id,
        "window": f"{start} to {plan.window.end.isoformat()}: {plan.window.reason}",
        "read by": f"{'Bulk API 2.0' if plan.api == 'bulk' else 'REST'}, {stats.reads} read(s)",
        "rows": f"{stats.rows:,} ({stats.distinct_ids:,} distinct Ids, Salesforce counts {stats.counted:,})",
        "bytes": f"{stats.bytes_received:,} received, {stats.bytes_staged:,} staged",
        "API calls": f"{stats.api_calls:,} ({used} API requests in use)",
        "seconds": f"{stats.seconds:,.1f} ({rate:,.0f} rows a second)",
    }
    return "\n".join(f"{name:<10} {value}" for name, value in lines.items())
