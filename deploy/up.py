"""`deploy up` and `deploy plan`: from what is there to what is wanted, in steps that can each be done again.

Nothing is remembered between two calls: every step looks at what is there. So a call that was interrupted is made good
by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from rich.console import Console

from deploy.airflow_api import AirflowApi
from deploy.ask import agree
from deploy.credentials import UNSEEN, login_from_file, login_from_prompt, store_login, stored_login, stored_text
from deploy.environment_wait import wait_until_available
from deploy.first_run import last_success, report, start_or_resume, wait_for_dag, wait_for_run
from deploy.lake import open_lake, settings_of
from deploy.options import Options
from deploy.ownership import Ownership, describe_secret, owns_secret
from deploy.plan import Plan, show_plan
from deploy.problem import DeployFailed, explained
from deploy.stack_events import StackEvents
from deploy.stacks import Change, ChangeSet, Stacks
from deploy.target import find_target, greet, refuse_other_buckets
from deploy.templates import Template, read_template
from deploy.upload import VERSIONED, Upload, carry_out, check_environment, compare
from include.config.environment import current_environment
from include.lake.run_log import read_run

PROJECT = Path(__file__).resolve().parents[1]
#: Stands for the version of a file that is not uploaded yet.
_LATER = "after-the-upload"
_KEPT_SECRET = "ExistingSalesforceSecretArn"  # noqa: S105 the name of a parameter


class Deployment:
    """One call of the command.

    :param options: what was asked for.
    :param console: what people see.
    """

    def __init__(self, options: Options, console: Console) -> None:
        self.options, self.console = options, console
        folder = {"folder": options.templates} if options.templates else {}
        target = find_target(
            environment=options.environment,
            region=options.region,
            prefix=options.prefix,
            templates=options.templates,
            parameters=options.parameters,
        )
        self.names, self.account = target.names, target.account
        self.stacks = Stacks(self.account, StackEvents(self.account, console), pause=options.pause)
        self.templates: dict[str, Template] = {
            name: read_template(name, **folder) for name in ("foundation", "network", "airflow")
        }
        _refuse_unknown(target.chosen, self.templates)
        self.values = {
            **target.chosen,
            "Environment": self.names.environment,
            "Suffix": self.names.suffix,
            "BucketPrefix": self.names.prefix,
        }
        self.own_network = _own_network(self.values)
        # Before anything is planned: a file that will not do is found out at once.
        self.given_login = login_from_file(options.credentials) if options.credentials else None

    def adopt_secret(self) -> None:
        """Where the secret is there and the foundation has not made it, name it to the templates, which make none then.

        :raises DeployFailed: when it is on its way out.
        """
        if self.values.get(_KEPT_SECRET):
            return
        found = describe_secret(self.account, self.names.secret)
        if found is None or (owns_secret(Ownership(self.account, self.names), found) and not found.get("DeletedDate")):
            return
        if found.get("DeletedDate"):
            named = f"--secret-id {self.names.secret}"
            raise DeployFailed(
                f"the secret {self.names.secret} is to be deleted, and until then there can be no other of its name.",
                f"If its value is wanted: aws secretsmanager restore-secret {named} (and, if its key goes too, aws kms "
                f"cancel-key-deletion). If not: aws secretsmanager delete-secret --force-delete-without-recovery "
                f"{named}. Then run the same command again.",
            )
        self.values[_KEPT_SECRET] = str(found["ARN"])
        self.console.print(f"the secret {self.names.secret} is there already: it is used as it is, and none is made")

    def build(self, folder: Path) -> Path:
        """Build the bundle, or take the one that was given.

        :param folder: of this call alone: another one builds another environment's meanwhile.
        :raises DeployFailed: when the one that was given is another environment's.
        """
        if self.options.bundle is not None:
            check_environment(self.options.bundle, self.names.environment)
            return self.options.bundle
        from deploy.bundle import build_bundle  # noqa: PLC0415 it needs dbt, which takes a while to import

        out = folder / "mwaa"
        self.console.print("building the bundle")
        build_bundle(out, self.names.environment, settings_of(self.names, self.account, self.values))
        return out

    def plan(self, bundle: Path) -> Plan:
        """Find out what would be done.

        :param bundle: folder of the bundle.
        """
        proposed: list[ChangeSet] = []
        try:
            return self._planned(bundle, proposed)
        except BaseException:
            self.discard(proposed)
            raise

    def _planned(self, bundle: Path, proposed: list[ChangeSet]) -> Plan:
        """The plan; what is proposed goes into the list as it is made."""
        names, stacks = self.names, self.stacks
        there = stacks.status(names.foundation) is not None
        proposed.append(stacks.propose(names.foundation, self.templates["foundation"], self.values))
        if not self.own_network:
            proposed.append(stacks.propose(names.network, self.templates["network"], self.values))
        upload = compare(self.account, names.bucket("scripts"), bundle, there=there)
        versions = {name: upload.versions.get(key, _LATER) for name, key in VERSIONED.items()}
        if any(change_set.new for change_set in proposed):
            resources = self.templates["airflow"].resources.items()
            changes = tuple(Change("Add", resource, kind) for resource, kind in resources)
            new = stacks.status(names.airflow) is None
            proposed.append(ChangeSet(names.airflow, changes=changes if new else (), new=new))
        else:
            proposed.append(self._propose_airflow(versions))
        return Plan(tuple(proposed), upload, notes=self._notes())

    def discard(self, proposed: Iterable[ChangeSet]) -> None:
        """Forget what was proposed.

        :param proposed: what is not applied.
        """
        for change_set in proposed:
            self.stacks.discard(change_set)

    def login(self) -> str | None:
        """The Salesforce login that is to be stored; None: there is one."""
        if self.given_login is not None:
            return self.given_login
        if stored_login(self.account, self._secret()) is not None:
            return None
        return login_from_prompt(self.names.environment)

    def apply(self, plan: Plan, login: str | None) -> dict[str, Any]:
        """Do what was planned, up to an environment that is available.

        :param plan: from `plan`.
        :param login: the Salesforce login, if one is to be stored.
        :return: the MWAA environment.
        """
        names, stacks = self.names, self.stacks
        shown = {proposed.stack: proposed for proposed in plan.change_sets}
        stacks.apply(shown[names.foundation])
        if login is not None and store_login(self.account, self._secret(), login):
            self.console.print(f"  the Salesforce login is stored in {self._secret()}")
        versions = carry_out(self.account, plan.upload)
        if plan.upload.changes:
            self.console.print(f"  {len(plan.upload.put)} files uploaded, {len(plan.upload.remove)} removed")
        if names.network in shown:
            stacks.apply(shown[names.network])
        stacks.discard(shown[names.airflow])
        final = self._propose_airflow(versions)
        if surprises := _beyond(final, shown[names.airflow]):
            show_plan(self.console, Plan((final,), Upload(plan.upload.bucket)))
            question = f"This was not in the plan: {', '.join(surprises)}. Apply it?"
            if not (self.options.yes or agree(question)):
                stacks.discard(final)
                raise DeployFailed("the Airflow stack was left as it is.", "Run the same command again to apply it.")
        stacks.apply(final)
        return wait_until_available(self.account, names.mwaa, self.console, pause=self.options.pause)

    def finish(self, environment: Mapping[str, Any], *, changed: bool) -> None:
        """Pools, the first run, and its report.

        :param environment: the MWAA environment.
        :param changed: whether this call has changed anything; if not, a pipeline that has run is left alone.
        """
        api = AirflowApi(self.account, self.names.mwaa)
        for pool in self._pools():
            if api.ensure_pool(**pool):
                self.console.print(f"  pool {pool['name']} made, {pool['slots']} slots")
        if not self.options.run:
            return
        wait_for_dag(api, self.console, pause=self.options.pause, patience=self.options.patience)
        done = last_success(api)
        if done is not None and not changed:
            run_id, state = str(done["dag_run_id"]), str(done["state"])
        else:
            run_id = start_or_resume(api, self.console)
            state = wait_for_run(api, run_id, self.console, pause=self.options.pause)
        with explained("reading what the run has written into the lake"):
            lake = open_lake(self.account, self.names)
            row = read_run(lake, self.names.databases[2], run_id=run_id, object_name="User")
        report(self.console, run_id=run_id, state=state, row=row, webserver=str(environment.get("WebserverUrl", "")))
        if state != "success":
            failed = [task for task, at in api.tasks("sf_user_pipeline", run_id).items() if at == "failed"]
            raise DeployFailed(
                f"the deployment is done, but {run_id} has failed in {', '.join(failed) or 'no task'}.",
                "The task's log says why, and docs/runbook.md what to do. Then clear the task, or run the same command "
                "again.",
            )

    def _propose_airflow(self, versions: Mapping[str, str]) -> ChangeSet:
        outputs = {**self.stacks.outputs(self.names.foundation)}
        if not self.own_network:
            outputs |= self.stacks.outputs(self.names.network)
            if "SubnetIds" not in outputs:
                raise DeployFailed(
                    f"the stack {self.names.network} has no subnets to offer.",
                    "Give SubnetIds (two, private, in two zones) and SecurityGroupIds in "
                    "deploy/cloudformation/parameters/, or restore its template.",
                )
        return self.stacks.propose(
            self.names.airflow, self.templates["airflow"], {**outputs, **self.values, **versions}
        )

    def _secret(self) -> str:
        return self.values.get(_KEPT_SECRET) or self.names.secret

    def _notes(self) -> tuple[str, ...]:
        if self.given_login is not None:
            stored = stored_text(self.account, self._secret())
            note = f"{self._secret()}: the Salesforce login is taken from {self.options.credentials}"
            return () if stored == self.given_login else (note,)
        stored = stored_login(self.account, self._secret())
        if stored == UNSEEN:
            self.console.print(f"{self._secret()} has a value; what it is was not looked at: this identity may not")
        return () if stored else (f"{self._secret()}: the Salesforce login will be asked for",)

    def _pools(self) -> list[dict[str, Any]]:
        wanted = current_environment({"SF_HISTORY_ENV": self.names.environment})
        settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text(encoding="utf-8"))
        return [
            {"name": pool["pool_name"], "slots": pool["pool_slot"], "description": pool["pool_description"]}
            for pool in settings["airflow"]["pools"]
            if pool["pool_name"] in (wanted.salesforce_pool, wanted.dbt_pool)
        ]


def deploy(options: Options, console: Console, *, only_plan: bool = False) -> None:
    """Bring an environment to what this clone says.

    :param options: what was asked for.
    :param console: what people see.
    :param only_plan: show what would be done, and do nothing.
    :raises DeployFailed: with what happened and what to do.
    """
    deployment = Deployment(options, console)
    names = deployment.names
    greet(console, names, deployment.account)
    for stack in (names.foundation, *(() if deployment.own_network else (names.network,)), names.airflow):
        deployment.stacks.settle(stack)
    refuse_other_buckets(names, deployment.stacks.parameters(names.foundation))
    deployment.adopt_secret()
    with TemporaryDirectory(prefix="sf-history-") as folder, ExitStack() as undo:
        undo.enter_context(_nothing_begun())
        bundle = deployment.build(Path(folder))
        plan = deployment.plan(bundle)
        undo.callback(deployment.discard, plan.change_sets)
        show_plan(console, plan)
        if only_plan:
            return
        if not plan.empty:
            where = f"account {deployment.account.number}, {deployment.account.region}"
            if not (options.yes or agree(f"Apply this to {names.environment} ({where})?")):
                raise DeployFailed("nothing was changed.", "Run the same command again to apply it.")
        login = deployment.login()
        undo.pop_all()
        changed = not plan.empty
        environment = deployment.apply(plan, login)
    deployment.finish(environment, changed=changed)
    console.print(
        f"[green]✓[/] {names.environment} is deployed"
        if changed
        else f"[green]✓[/] {names.environment}: nothing to change"
    )


@contextmanager
def _nothing_begun() -> Iterator[None]:
    """Say so to whoever interrupts what has only looked so far."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Nothing was changed.") from None


def _refuse_unknown(chosen: Mapping[str, str], templates: Mapping[str, Template]) -> None:
    """A misspelt parameter would be ignored, and what it was to set stays as it was.

    :raises DeployFailed: naming it, and what it may have been.
    """
    known = sorted({name for template in templates.values() for name in template.parameters})
    for name in sorted(set(chosen) - set(known)):
        close = get_close_matches(name, known, n=1)
        raise DeployFailed(
            f"there is no parameter {name}{f'; there is {close[0]}' if close else ''}.",
            "Correct it in deploy/cloudformation/parameters/ or in --parameter. There are " + ", ".join(known) + ".",
        )


def _own_network(values: Mapping[str, str]) -> bool:
    """Whether people have given a network of their own."""
    subnets = [subnet for subnet in values.get("SubnetIds", "").split(",") if subnet]
    if not subnets and not values.get("SecurityGroupIds"):
        return False
    if len(subnets) != 2 or not values.get("SecurityGroupIds"):
        raise DeployFailed(
            f"{len(subnets)} subnets are given{'' if values.get('SecurityGroupIds') else ', and no SecurityGroupIds'}.",
            "MWAA takes two private subnets in two zones: SubnetIds=subnet-a,subnet-b, and SecurityGroupIds. Give "
            "both, or neither: then a network is made.",
        )
    return True


def _beyond(final: ChangeSet, shown: ChangeSet) -> list[str]:
    """What a change set would do to resources that the plan did not show."""
    known = {(change.resource, change.action) for change in shown.changes}
    return [change.resource for change in final.changes if (change.resource, change.action) not in known]
