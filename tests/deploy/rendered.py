"""The templates as CloudFormation would see them: parameters filled in, conditions decided, references followed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "deploy" / "cloudformation"
TEMPLATES = ("foundation", "network", "airflow")
ENVIRONMENTS = ("development", "staging", "production")

#: What comes from another stack's outputs.
FROM_OTHER_STACKS = {
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/of-the-environment",
    "AlertTopicArn": "arn:aws:sns:us-east-1:123456789012:sf-user-pipeline-alerts",
    "SalesforceSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:salesforce/credentials-AbCdEf",
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-1",
}
_PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "us-east-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_ABSENT = object()
_NAMED_BY = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::Athena::WorkGroup": "Name",
    "AWS::Logs::LogGroup": "LogGroupName",
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _long_form(loader: Any, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


def source(name: str) -> dict[str, Any]:
    """A template as it is written."""
    return yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), _Loader)  # noqa: S506  it is a SafeLoader


def parameters_of(environment: str) -> dict[str, str]:
    """The parameters file of an environment."""
    return json.loads((FOLDER / "parameters" / f"{environment}.json").read_text(encoding="utf-8"))["Parameters"]


@dataclass(frozen=True)
class Rendered:
    """A template with its parameters."""

    resources: dict[str, Any]
    outputs: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, Any]:
        """Logical name → properties."""
        return {name: one.get("Properties", {}) for name, one in self.resources.items() if one["Type"] == kind}


def render(name: str, environment: str, **given: str) -> Rendered:
    """Fill a template in.

    :param name: the template.
    :param environment: whose parameters file is read.
    :param given: parameters that differ.
    """
    template = source(name)
    values = {key: one["Default"] for key, one in template["Parameters"].items() if "Default" in one}
    values |= {
        key: value
        for key, value in {**FROM_OTHER_STACKS, **parameters_of(environment), **given}.items()
        if key in template["Parameters"] and not (key in values and key in FROM_OTHER_STACKS and key not in given)
    }
    return _Filling(template, values).rendered()


class _Filling:
    def __init__(self, template: dict[str, Any], values: dict[str, Any]) -> None:
        self.template, self.values = template, values
        conditions = template.get("Conditions", {})
        self.conditions = {name: self.fill(condition) for name, condition in conditions.items()}

    def rendered(self) -> Rendered:
        resources = {
            name: self.fill(one)
            for name, one in self.template["Resources"].items()
            if self.conditions.get(one.get("Condition"), True)
        }
        return Rendered(resources, {name: self.fill(one["Value"]) for name, one in self.template["Outputs"].items()})

    def fill(self, value: Any) -> Any:
        if isinstance(value, list):
            return [done for part in value if (done := self.fill(part)) is not _ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument), *_ = value.items()
            if key == "Ref" or key.startswith("Fn::"):
                return self._function(key.removeprefix("Fn::"), argument)
        return {key: done for key, part in value.items() if (done := self.fill(part)) is not _ABSENT}

    def _function(self, name: str, argument: Any) -> Any:  # noqa: PLR0911  one return a function of CloudFormation
        match name:
            case "Ref":
                return self._reference(argument)
            case "GetAtt":
                return self._attribute(*argument)
            case "Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda found: str(self._named(found[1])), argument)
            case "If":
                return self.fill(argument[1] if self.conditions[argument[0]] else argument[2])
            case "Equals":
                left, right = self.fill(argument)
                return str(left) == str(right)
            case "Not":
                return not self.fill(argument[0])
            case "Join":
                return argument[0].join(self.fill(argument[1]))
            case "Split":
                return self.fill(argument[1]).split(argument[0])
            case "Select":
                return self.fill(argument[1])[int(argument[0])]
            case "GetAZs":
                return ["us-east-1a", "us-east-1b"]
        raise AssertionError(f"Fn::{name} is not known here")

    def _named(self, name: str) -> Any:
        return self._attribute(*name.split(".")) if "." in name else self._reference(name)

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _ABSENT
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self.values:
            return self.values[name]
        resource = self.template["Resources"][name]
        called = _NAMED_BY.get(resource["Type"])
        return self.fill(resource["Properties"][called]) if called else f"<{name}>"

    def _attribute(self, name: str, attribute: str) -> str:
        if self.template["Resources"][name]["Type"] == "AWS::S3::Bucket" and attribute == "Arn":
            return f"arn:aws:s3:::{self._reference(name)}"
        return f"<{name}.{attribute}>"
