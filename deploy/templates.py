"""A CloudFormation template as CloudFormation takes it, and which parameters and resources it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.problem import DeployFailed

FOLDER = Path(__file__).resolve().parent / "cloudformation"
#: What CreateChangeSet takes in a request.
_LARGEST = 51_200


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, which become the long ones."""


def _long_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if tag in ("Ref", "Condition"):
        return {tag: value}
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


@dataclass(frozen=True)
class Template:
    """A template.

    :param body: its text, small enough for a request.
    :param parameters: the parameters that it declares; True: it has a default.
    :param resources: logical name → type.
    """

    body: str
    parameters: Mapping[str, bool]
    resources: Mapping[str, str]

    def choose(self, values: Mapping[str, str], *, stack: str) -> list[dict[str, str]]:
        """The parameters of a change set: those of the values that this template declares.

        :param values: by name; those of other templates may be among them.
        :param stack: for the message.
        :raises DeployFailed: naming parameters without a value.
        """
        if missing := [name for name, has in self.parameters.items() if not has and name not in values]:
            raise DeployFailed(
                f"the stack {stack} has no value for {', '.join(missing)}.",
                "Give it in deploy/cloudformation/parameters/, or as --parameter NAME=VALUE.",
            )
        return [{"ParameterKey": name, "ParameterValue": values[name]} for name in self.parameters if name in values]


def read_template(name: str, *, folder: Path = FOLDER) -> Template:
    """Read a template of this project.

    :param name: foundation, network or airflow.
    :param folder: where templates are.
    :raises DeployFailed: when it is too large for a request.
    """
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=_Loader)  # noqa: S506 a SafeLoader with tags
    # Comments and blanks count; without them it is the same template.
    body = text if len(text.encode()) <= _LARGEST else json.dumps(document, separators=(",", ":"), default=str)
    if len(body.encode()) > _LARGEST:
        raise DeployFailed(
            f"the template {name}.yaml has {len(body.encode()):,} bytes; CloudFormation takes {_LARGEST:,}.",
            "Move resources to a stack of their own.",
        )
    return Template(
        body=body,
        parameters={key: "Default" in declared for key, declared in document.get("Parameters", {}).items()},
        resources={
            key: f"{resource['Type']}{' (if asked for)' if 'Condition' in resource else ''}"
            for key, resource in document["Resources"].items()
        },
    )


def read_parameters(environment: str, *, folder: Path = FOLDER) -> dict[str, str]:
    """The parameters that people have chosen for an environment; none without a file.

    :param environment: its name.
    :param folder: where `parameters/` is.
    :raises DeployFailed: when the file is no `{"Parameters": {…}}`.
    """
    path = folder / "parameters" / f"{environment}.json"
    if not path.exists():
        return {}
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))["Parameters"]
        return {str(name): _text(value) for name, value in chosen.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeployFailed(
            f"deploy/cloudformation/parameters/{path.name} is not readable ({error}).",
            'Allowed is {"Parameters": {"NAME": "value"}}.',
        ) from error


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
