"""YAML, as much of it as an object file needs: mappings, lists, text, numbers, true, false and null. No more is read.

Anchors, tags and documents within documents are refused: they say nothing that a plain file cannot, and they are how a
file of ten lines fills a machine's memory or makes objects nobody asked for. Texts are what they look like: `No`, `on`,
`2026-01-05` and `010` stay text, as in YAML 1.2, and only 12 and 1.5 are numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from include.config.explanation import readable

#: The largest object file that is read: ten times what an object with every field that Salesforce allows needs.
LARGEST_BYTES = 262_144
_DEEPEST = 20
#: What YAML's escapes can spell and no name, table or log can hold.
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")
_STR, _MAP = "tag:yaml.org,2002:str", "tag:yaml.org,2002:map"


class UnreadableYaml(ValueError):
    """The file is no plain YAML. The message says what is wrong, where, and what to do."""


class _PlainLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own way of keeping a class's resolvers)
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node without anchor, alias or tag, not too deep."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("anchors and aliases (& and *) are not allowed: write the value out", event)
        if event.tag is not None:
            raise _refused(f"tag {event.tag!r:.80} is not allowed: write the plain value", event)
        if isinstance(event, yaml.ScalarEvent) and _NO_CHARACTER.search(event.value):
            raise _refused(f"{event.value!r:.80} holds NUL or half of a surrogate pair: remove it", event)
        if self._depth >= _DEEPEST:
            raise _refused(f"nested deeper than {_DEEPEST} levels: an object file needs three", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are texts, all different: YAML lets the last of two equal keys win, without a word."""
        keys = [key for key, _ in node.value]
        for key in keys:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                raise yaml.MarkedYAMLError(problem="a key must be a text, such as fields", problem_mark=key.start_mark)
        if twice := sorted(key for key, count in Counter(key.value for key in keys).items() if count > 1):
            raise yaml.MarkedYAMLError(
                problem=f"{', '.join(map(readable, twice))} is given twice: keep one", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


def _refused(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", list("-+0123456789")),
    ("float", r"[-+]?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}", list("-+0123456789")),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})\Z"), _first)


def read_plain_yaml(path: Path) -> Any:
    """The one document of a file.

    :param path: a UTF-8 file, with or without a byte order mark.
    :raises UnreadableYaml: when it is not there, too large, not UTF-8, not YAML, or more than plain YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise UnreadableYaml(f"cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_BYTES:
        raise UnreadableYaml(f"is larger than {LARGEST_BYTES:,} bytes: an object file holds no data, only names")
    try:
        return yaml.load(content.decode("utf-8"), Loader=_PlainLoader)  # noqa: S506  (a SafeLoader)
    except UnicodeDecodeError as error:
        raise UnreadableYaml(f"is not UTF-8 (byte {error.start + 1}): save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise UnreadableYaml(f"cannot be read as YAML: {_told(error)}") from error
    except yaml.reader.ReaderError as error:
        raise UnreadableYaml(
            f"cannot be read as YAML: character {error.position + 1} is U+{error.character:04X}, a control "
            "character: remove it"
        ) from error
    except (ValueError, OverflowError) as error:
        # PyYAML itself stumbles over the number of a character past Unicode's end, "\UFFFFFFFF".
        raise UnreadableYaml(f"cannot be read as YAML: an escape names no character ({error})") from error


def _told(error: yaml.MarkedYAMLError) -> str:
    """What is wrong and where; the place is quoted, because it may hold what would garble a log."""
    what = ", ".join(text for text in (error.context, error.problem) if text)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return what
    line = (mark.get_snippet(indent=0, max_length=60) or "").split("\n")[0]
    return f"{what if what.isprintable() else repr(what)} (line {mark.line + 1}, column {mark.column + 1}: {line!r})"
