"""moto's CloudFormation, made to behave as AWS's does where the deploy command depends on it.

moto executes a change set at once, forgets the outputs and parameters of a stack that was made by one, lists no change
where only a parameter differs, leaves a stack as it is when a resource fails, and has events of the stack only. Here a
change set is executed in the background, resource by resource, with its events; what fails is rolled back.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from local.cloud import mwaa

#: What a test wants: `stack_seconds` that a stack takes (or until this is taken back), `failing_resource` (its logical
#: name) and `reason`, `refused_plan` (what CloudFormation says of every change set).
FAULTS: dict[str, Any] = {}
_CONTROL = "/stand-in/faults"
_MAKER = "makes-a-stack"
#: Both keep a resource when its stack is deleted.
_KEPT = ("Retain", "RetainExceptOnCreate")
_doomed: set[threading.Thread] = set()


def complete_cloudformation() -> None:
    """Change moto in this process."""
    _serve_mwaa()
    _leave_conditional_denials_out()
    _make_change_sets_whole()
    _delete_what_moto_leaves()
    _delete_in_order()
    _change_only_what_is_there()


def _delete_what_moto_leaves() -> None:
    """moto's CloudFormation passes over these when it deletes a stack, so that the network around them cannot go."""
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.elastic_ip_addresses import ElasticAddress
    from moto.ec2.models.flow_logs import FlowLogs
    from moto.ec2.models.nat_gateways import NatGateway
    from moto.ec2.models.route_tables import RouteTable
    from moto.ec2.models.vpcs import VPCEndPoint

    by_model: dict[type, Callable[[Any, Any], object]] = {
        RouteTable: lambda backend, table: backend.delete_route_table(table.id),
        NatGateway: lambda backend, gateway: backend.delete_nat_gateway(gateway.id),
        ElasticAddress: lambda backend, address: backend.release_address(allocation_id=address.allocation_id),
        VPCEndPoint: lambda backend, endpoint: backend.delete_vpc_endpoints([endpoint.id]),
        FlowLogs: lambda backend, log: backend.delete_flow_logs([log.id]),
    }
    for model, take in by_model.items():

        def delete(self: Any, account: str, region: str, take: Callable[[Any, Any], object] = take) -> None:
            take(ec2_backends[account][region], self)

        model.delete = delete  # type: ignore[attr-defined]


def _delete_in_order() -> None:
    """moto deletes in any order, again and again. In our templates nothing refers to what stands below it."""
    from moto.cloudformation.parsing import ResourceMap

    def delete(self: Any) -> None:
        made_in_order = self._ResourceMap__get_resources_in_dependency_order()
        for name in reversed(made_in_order):
            there = self._parsed_resources.get(name)
            if self._resource_json_map[name].get("DeletionPolicy") not in _KEPT and not isinstance(there, str | None):
                self._delete_resource(there, self._resource_json_map[name])

    ResourceMap.delete = delete  # type: ignore[method-assign]


def _change_only_what_is_there() -> None:
    """Where a condition leaves a resource out, moto would change it all the same."""
    from moto.cloudformation import parsing

    change = parsing.parse_and_update_resource

    def change_if_there(
        logical_id: str, resource_json: dict[str, Any], resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        if resources_map[logical_id] is None:
            return None
        return change(logical_id, resource_json, resources_map, account_id, region_name)

    parsing.parse_and_update_resource = change_if_there


def _serve_mwaa() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    usual = DomainDispatcherApplication.get_application

    def get_application(self: DomainDispatcherApplication, environ: dict[str, Any]) -> Any:
        if environ.get("PATH_INFO") == _CONTROL:
            return _control
        # The name by which requests to MWAA are signed.
        if "/airflow/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
            return mwaa.application
        return usual(self, environ)

    DomainDispatcherApplication.get_application = get_application  # type: ignore[method-assign]


def _control(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """What is to go wrong: {"stacks": {name: status}, "environments": {name: {…}}, "empty": none of them, …}."""
    from moto.cloudformation.models import cloudformation_backends

    wanted = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    if wanted.pop("empty", False):
        mwaa.ENVIRONMENTS.clear()
        # Stacks that are still being made belong to an account that is no more.
        _doomed.update(thread for thread in threading.enumerate() if thread.name == _MAKER)
    for stack in cloudformation_backends["123456789012"]["us-east-1"].stacks.values():
        stack.status = wanted.get("stacks", {}).get(stack.name, stack.status)
    for name, faults in wanted.get("environments", {}).items():
        environment = mwaa.ENVIRONMENTS[name]
        environment.status, environment.error = faults.get("status", environment.status), faults.get("error", "")
        environment.faults = faults
    FAULTS.clear()
    FAULTS.update({key: value for key, value in wanted.items() if key not in ("stacks", "environments")})
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]


def _leave_conditional_denials_out() -> None:
    """moto knows no conditions of a bucket's policy: "deny what comes without TLS" would deny everything."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    usual = FakeBucket.get_permission

    def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
        document = json.loads(self.policy) if self.policy else {}
        statements = [said for said in document.get("Statement", []) if "Condition" not in said]
        if not statements:
            return PermissionResult.NEUTRAL
        kept, self.policy = self.policy, json.dumps({**document, "Statement": statements}).encode()
        try:
            return usual(self, action, resource)
        finally:
            self.policy = kept

    FakeBucket.get_permission = get_permission  # type: ignore[method-assign]


def _make_change_sets_whole() -> None:
    from moto.cloudformation.models import Change, ChangeSet, CloudFormationBackend
    from moto.cloudformation.parsing import ResourceMap

    create = CloudFormationBackend.create_change_set

    def create_change_set(self: CloudFormationBackend, stack_name: str, *rest: Any, **named: Any) -> tuple[str, str]:
        for identifier, stack in list(self.stacks.items()):
            if stack.name == stack_name and stack.status == "REVIEW_IN_PROGRESS":
                del self.stacks[identifier]
        made = create(self, stack_name, *rest, **named)
        if reason := FAULTS.get("refused_plan"):
            refused: Any = self.describe_change_set(made[0])
            refused.status, refused.status_reason = "FAILED", reason
        return made

    def diff(self: ChangeSet) -> list[Change]:
        there = self.stack.resource_map
        wanted = ResourceMap(
            self.stack_id,
            self.stack_name,
            self.parameters,
            {},
            there._region_name,
            there._account_id,
            self.template_dict,
            there.cross_stack_resources,
        )
        wanted.load()
        by_action = there.build_resource_diff(self.template_dict, self.parameters)
        old, new = there._resource_json_map, self.template_dict["Resources"]
        changes = []
        for action, names in by_action.items():
            for name in names:
                condition = (new.get(name) or {}).get("Condition")
                if condition and not wanted.lazy_condition_map[condition]:
                    continue
                change = Change(action, name, (new.get(name) or old[name])["Type"])
                change.replacement = "False" if action == "Modify" else None  # type: ignore[attr-defined]
                changes.append(change)
        return changes

    def execute_change_set(self: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:  # noqa: ARG001 moto's
        change_set: Any = self.describe_change_set(change_set_name)
        change_set.execution_status = "EXECUTE_IN_PROGRESS"
        change_set.stack.status = f"{change_set.change_set_type}_IN_PROGRESS"
        threading.Thread(target=_execute, args=(change_set,), name=_MAKER, daemon=True).start()

    CloudFormationBackend.create_change_set = create_change_set  # type: ignore[method-assign]
    CloudFormationBackend.execute_change_set = execute_change_set  # type: ignore[method-assign]
    ChangeSet.diff = diff  # type: ignore[method-assign]


def _execute(change_set: Any) -> None:
    stack, kind = change_set.stack, change_set.change_set_type
    stack._add_stack_event(f"{kind}_IN_PROGRESS", resource_status_reason="User Initiated")
    began = time.monotonic()
    while time.monotonic() < began + FAULTS.get("stack_seconds", 0):
        time.sleep(0.05)
        if threading.current_thread() in _doomed:
            return
    named = {change.logical_resource_id: change for change in change_set.changes}
    try:
        if (failing := FAULTS.get("failing_resource")) in named:
            _note(stack, named[failing], f"{kind}_FAILED", FAULTS["reason"])
            raise RuntimeError(FAULTS["reason"])
        change_set.apply()
    except Exception as error:  # noqa: BLE001 whatever moto says, CloudFormation rolls back
        if failing not in named:
            _note(stack, change_set.changes[0], f"{kind}_FAILED", str(error))
        stack._add_stack_event("ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_ROLLBACK_COMPLETE")
        stack.status = stack.events[-1].resource_status
        return
    for change in change_set.changes:
        _note(stack, change, {"Add": "CREATE", "Modify": "UPDATE"}.get(change.action, "DELETE") + "_COMPLETE")
    stack.template, stack.parameters = change_set.template, change_set.parameters
    stack._parse_template()
    stack.output_map = stack._create_output_map()
    stack._add_stack_event(f"{kind}_COMPLETE")
    change_set.execution_status = "EXECUTE_COMPLETE"
    stack.status = f"{kind}_COMPLETE"


def _note(stack: Any, change: Any, status: str, reason: str | None = None) -> None:
    from moto.cloudformation.models import Event

    stack.events.append(
        Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=change.logical_resource_id,
            physical_resource_id=change.logical_resource_id,
            resource_type=change.resource_type,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
    )
