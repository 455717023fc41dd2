#!/usr/bin/env bash
# Amazon MWAA sources this file wherever it starts a part of Airflow, before it installs requirements.txt, and gives what is
# exported here to Airflow and its tasks. It has five minutes. There is no secret in it: those are in Secrets Manager.
# Made by `make mwaa` from deploy/mwaa/startup.sh.

@SETTINGS@

export AIRFLOW__COSMOS__ENABLE_TELEMETRY=False
export DBT_SEND_ANONYMOUS_USAGE_STATS=false

# dbt has a virtualenv of its own: Airflow's constraints leave no room for it.
export SF_HISTORY_DBT_VENV="${SF_HISTORY_DBT_VENV:-${AIRFLOW_HOME:-/usr/local/airflow}/dbt-venv}"
export SF_HISTORY_DBT_EXECUTABLE="${SF_HISTORY_DBT_VENV}/bin/dbt"

# A subshell: nothing that it sets is left behind. Once made, the virtualenv is kept until the versions in this file change.
sf_history_install_dbt() (
    made_of="@DBT_DIGEST@"
    say() { echo "sf-history startup (${MWAA_AIRFLOW_COMPONENT:-?}): $*"; }
    fail() {
        say "dbt could not be installed: $*. Without dbt no history can be built, so this worker must not start." >&2
        exit 1
    }
    if [[ "$(cat "${SF_HISTORY_DBT_VENV}/.made-of" 2>/dev/null)" == "${made_of}" ]]; then
        say "dbt is there already: ${SF_HISTORY_DBT_EXECUTABLE}"
        exit 0
    fi
    rm -rf "${SF_HISTORY_DBT_VENV}" || fail "${SF_HISTORY_DBT_VENV} is in the way and cannot be removed"
    python3 -m venv "${SF_HISTORY_DBT_VENV}" || fail "python3 -m venv made no virtualenv at ${SF_HISTORY_DBT_VENV}"
    # MWAA's pip installs for the user by default, which a virtualenv refuses. Every version is given, so none is looked for.
    PIP_USER=0 "${SF_HISTORY_DBT_VENV}/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --no-deps --requirement /dev/stdin <<'REQUIREMENTS' || fail "pip says why above; is there a way from the subnets to a package index?"
@DBT_REQUIREMENTS@
REQUIREMENTS
    "${SF_HISTORY_DBT_VENV}/bin/python" -m pip check --disable-pip-version-check || fail "its packages do not fit together"
    echo "${made_of}" >"${SF_HISTORY_DBT_VENV}/.made-of" || fail "${SF_HISTORY_DBT_VENV} cannot be written to"
    say "dbt installed in ${SECONDS} s: ${SF_HISTORY_DBT_EXECUTABLE}"
)

# Only who runs tasks runs dbt: the DAGs are drawn from a manifest.
case "${MWAA_AIRFLOW_COMPONENT:-worker}" in
    worker | hybrid) sf_history_install_dbt || exit 1 ;;
esac
unset -f sf_history_install_dbt
