"""Object files that are wrong in every key, in every way: one readable error each, and nothing but that error."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.config.object_file import OBJECTS_FOLDER, ExpectedRows, ObjectFile, ObjectFileError, read_object_file
from include.config.plain_yaml import LARGEST_BYTES
from tests.airflow_process import PROJECT, run_in_airflow
from tests.hostile.conftest import Tried
from tests.hostile.vocabulary import TEXTS, any_texts

VALID = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in OBJECTS_FOLDER.glob("*.yml")}
FULL = {
    **VALID["user"],
    "table": "sf_user",
    "cursor": "SystemModstamp",
    "max_error_percent": 5,
    "max_volume_deviation_percent": 20,
    "min_volume_deviation_rows": 100,
    "schedule": "every_six_hours",
    "lookback": "1h",
    "full_refresh_every": "7d",
    "batch_size": 10000,
    "bulk_from_rows": 10000,
}
#: Keys whose value is no free text: none of the values below is right for any of them.
KEYS = tuple(name for name in ObjectFile.model_fields)
#: Longest a person, or Airflow's parsing, waits for the verdict.
SECONDS = 20
HELP = "Correct the file. include/objects/user.yml is an example; docs/configuration.md explains every key."

WRONG: tuple[Any, ...] = (
    *("", " ", "\n", "x" * 5000, "'; drop table x; --", "Id FROM User--", "Näme", "ID\n", "a.b", "__c", "_x", "x__"),
    *(-1, 10**17, 1.5, -0.1, True, False, [], {}, [[]], [{}], [None], [1], {"a": {"b": {"c": [1]}}}, {"": ""}),
    *("2026-01-05", "010", "0x10", "1_000", "1:30", "yes", "no", ".nan", ".inf", "~x", "R R * * *", "* * * *"),
    *([["Id"]], ["Id", "ID"], ["Id", "id", "iD"], ["Id'"], ["Id; drop"], {"Id": "a b"}, {"Id": "x; drop table y"}),
)
#: What each key takes of the values above without being wrong.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "dimension_names": ({},),
    "accepted_values": ({},),
    "object": ("yes", "no"),
    "required": (["Id"],),
    "unique": (["Id"], []),
    "slas": ({},),
    "alerts": ({},),
    "upkeep": ({},),
    "upsert": ({},),
}


def written(folder: Path, document: Any) -> Path:
    path = folder / "user.yml"
    text = document if isinstance(document, str) else yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    path.write_bytes(document if isinstance(document, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


def verdict(folder: Path, document: Any) -> str | None:
    """The error of a file, None where it is right. Whatever else is raised, or takes for ever, fails the test."""
    path = written(folder, document)
    began = time.process_time()
    try:
        read_object_file(path)
    except ObjectFileError as error:
        said = str(error)
        assert said.startswith("user.yml: ")
        assert said.endswith(HELP)
        assert all(line.isprintable() or not line.strip("\u2028\u2029") for line in said.split("\n")), said
        said.encode("utf-8")
        assert len(said) < 20_000
        return said
    finally:
        assert time.process_time() - began < SECONDS
    return None


def test_the_files_that_are_there_are_right(tmp_path: Path, tried: Tried) -> None:
    for document in (*VALID.values(), FULL):
        assert verdict(tmp_path, document) is None
        tried("object files")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_a_wrong_value_is_named_with_that_value(key: str, tmp_path: Path, tried: Tried) -> None:
    for value in WRONG:
        if value in HARMLESS.get(key, ()) and type(value) is type(HARMLESS[key][0]):
            continue
        if key in {"max_error_percent", "max_volume_deviation_percent"} and value == 1.5:
            continue
        said = verdict(tmp_path, {**FULL, key: value})
        tried("object files")
        assert said is not None, f"{key}: {value!r} passes"
        assert any(f"{start}{key}" in said for start in ("  ", "file: ", "names ")) or "dimension_names" in said, said
        assert any(told in said for told in (repr(value)[:40], "(got ", "names ", "must list Id", "missing")), said


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_null_or_missing(key: str, tmp_path: Path, tried: Tried) -> None:
    tried("object files", 2)
    null = verdict(tmp_path, {**FULL, key: None})
    optional = {"expected_rows", "cursor"}
    assert (null is None) == (key in optional), null
    if null:
        assert f"  {key}: " in null
        assert "(got None)" in null
    missing = verdict(tmp_path, {name: value for name, value in FULL.items() if name != key})
    if key in {"version", "object", "fields", "tracked"}:
        assert missing is not None
        assert f"  {key}: is missing" in missing
    else:
        assert missing is None


@pytest.mark.parametrize("key", list(ExpectedRows.model_fields))
def test_a_nested_key_is_named_by_its_path(key: str, tmp_path: Path, tried: Tried) -> None:
    for value in (None, "5", True, -1, 1.5 if key != "alert_deviation_percent" else 101, [], {}, "x" * 500):
        said = verdict(tmp_path, {**FULL, "expected_rows": {**FULL["expected_rows"], key: value}})
        tried("object files")
        assert said is not None
        assert f"  expected_rows.{key}: " in said
        assert f"(got {value!r:.60}" in said
    said = verdict(tmp_path, {**FULL, "expected_rows": {**FULL["expected_rows"], "typcial": 1}})
    assert said is not None
    assert "expected_rows.typcial: is not a key; allowed are typical, minimum, maximum" in said


NAMES = (
    *("Name; drop table x", "Name--", "Name/*", "Name'", 'Name"', "Name`", "Name)", "Name FROM User", "Owner.Name"),
    *(
        "COUNT()",
        "FIELDS(ALL)",
        "{{ x }}",
        "{% x %}",
        "$(x)",
        "../x",
        "Name\x00",
        "Name\n",
        "\u202eemaN",
        "Ñame",
        "Nаme",
    ),
    *("N" * 81, "1Name", "_Name", "Name_", "Na___me", " ", "*", "%", "Name Name", "Name,Id", "null\u2028"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_dangerous_in_soql_or_sql_is_refused_wherever_it_stands(
    name: str, tmp_path: Path, tried: Tried
) -> None:
    places: dict[str, Any] = {
        "object": name,
        "table": f"sf_{name}",
        "fields": [*FULL["fields"], name],
        "tracked": [name],
        "required": ["Id", name],
        "unique": ["Id", name],
        "cursor": name,
        "accepted_values": {name: ["x"]},
        "dimension_names": {name: "x"},
    }
    for key, value in places.items():
        said = verdict(tmp_path, json.dumps({**FULL, key: value}))
        tried("object files")
        assert said is not None
        assert key in said or "NUL" in said
        assert repr(name)[1:60].rstrip("'\"") in said or "NUL" in said, said
    said = verdict(tmp_path, json.dumps({**FULL, "dimension_names": {**FULL["dimension_names"], "Name": name}}))
    assert said is not None
    assert "dimension_names.Name: " in said or "NUL" in said


def oddities() -> Iterator[tuple[str, str | bytes, str]]:
    """Name, file and words of the verdict."""
    plain = yaml.safe_dump(FULL, sort_keys=False)
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + level)}: &{chr(98 + level)} [{', '.join(['*' + chr(97 + level)] * 9)}]\n" for level in range(24)
    )
    yield "billion laughs", plain + laughs, "anchors and aliases"
    yield "an anchor", plain.replace("batch_size: 10000", "batch_size: &a 10000"), "anchors and aliases"
    yield "a merge", "<<: *x\n" + plain, "anchors and aliases"
    yield "itself", "a: &a\n  b: *a\n", "anchors and aliases"
    for tag in ("python/object/apply:os.system [echo]", "python/name:os.system", "python/object:os.x {}", "int '1'"):
        yield tag, plain + f"x: !!{tag}\n", "is not allowed: write the plain value"
    yield "a tag of its own", plain + "x: !boom 1\n", "is not allowed"
    yield "a tag on the file", "!!python/object/apply:os.abort []\n", "is not allowed"
    yield "a tab", plain + "\tx: 1\n", "found character '\\t'"
    yield "two documents", plain + "---\n" + plain, "expected a single document"
    yield "two documents of which one is empty", "---\n---\n" + plain, "expected a single document"
    yield "NUL", plain.encode() + b"x: \x00\n", "is U+0000, a control character: remove it"
    yield "NUL, spelled", plain + 'x: "\\0"\n', "holds NUL or half of a surrogate pair"
    yield "half a surrogate pair", plain + 'x: "\\ud800"\n', "holds NUL or half of a surrogate pair"
    yield "past the end of Unicode", plain + 'x: "\\UFFFFFFFF"\n', "cannot be read as YAML"
    yield "latin-1", plain.encode() + b"# \xe9\n", "is not UTF-8"
    yield "UTF-16", plain.encode("utf-16"), "is not UTF-8"
    yield "surrogates in UTF-8", plain.encode() + b"# \xed\xa0\x80\n", "is not UTF-8"
    yield "binary", bytes(range(256)) * 10, "is not UTF-8"
    yield "deep lists", plain + "x: " + "[" * 50_000 + "]" * 50_000, "nested deeper than 20"
    yield "deep mappings", plain + "x: " + "{a: " * 20_000 + "1" + "}" * 20_000, "nested deeper than 20"
    yield "deep blocks", "".join(" " * depth + f"k{depth}:\n" for depth in range(400)), "nested deeper than 20"
    yield "huge", plain + "# " + "x" * LARGEST_BYTES, "is larger than 262,144 bytes"
    yield "many keys", plain + "".join(f"k{number}: 1\n" for number in range(20_000)), "is not a key"
    yield "one key many times", plain + "x: 1\n" * 40_000, "x is given twice"
    yield "many fields", json.dumps({**FULL, "fields": ["Id", *(f"F{n}" for n in range(20_000))]}), "fields: "
    yield "a huge number", plain.replace("batch_size: 10000", "batch_size: " + "9" * 100_000), "batch_size: must be"
    yield "a huge duration", plain.replace("lookback: 1h", "lookback: " + "9" * 100_000 + "d"), "lookback: a duration"
    yield "a huge text", plain.replace("object: User", "object: " + "x" * 200_000), "object: "
    yield "octal", plain.replace("batch_size: 10000", "batch_size: 010"), "batch_size: must be a whole number"
    yield "hexadecimal", plain.replace("batch_size: 10000", "batch_size: 0x10"), "batch_size: must be a whole number"
    yield "base 60", plain.replace("batch_size: 10000", "batch_size: 1:30"), "batch_size: must be a whole number"
    yield "underscores", plain.replace("batch_size: 10000", "batch_size: 10_000"), "batch_size: must be a whole number"
    yield "yes", plain.replace("version: 1", "version: yes"), "version: "
    yield "true", plain.replace("version: 1", "version: true"), "version: there is no such version"
    yield "a date", plain.replace("lookback: 1h", "lookback: 2026-01-05"), "lookback: a duration"
    yield "a date that is none", plain.replace("lookback: 1h", "lookback: 2026-99-99"), "(got '2026-99-99')"
    yield "a list as key", plain + "? [a]\n: 1\n", "a key must be a text"
    yield "a number as key", plain + "1: 1\n", "a key must be a text"
    yield "null as key", plain + "~: 1\n", "a key must be a text"
    yield "a key twice", plain + "tracked: [Name]\n", "tracked is given twice"
    yield "a nested key twice", plain + "accepted_values: {Name: [a], Name: [b]}\n", "is given twice"
    yield (
        "a hostile key",
        plain + '"x\\nINFO: all is well\\e[31m": 1\n',
        "'x\\nINFO: all is well\\x1b[31m': is not a key",
    )
    yield "nothing", "", "must be a mapping"
    yield "a comment", "# nothing\n", "must be a mapping"
    yield "a list", "[1, 2]", "must be a mapping of keys to values, got list [1, 2]"
    yield "a text", "user", "must be a mapping of keys to values, got str 'user'"


@pytest.mark.parametrize(("document", "words"), [pytest.param(*rest, id=name) for name, *rest in oddities()])
def test_what_yaml_can_do_besides(document: str | bytes, words: str, tmp_path: Path, tried: Tried) -> None:
    tried("object files")
    said = verdict(tmp_path, document)
    assert said is not None
    assert words in said


@pytest.mark.parametrize("start", ["\ufeff", "---\n", "# first\n\n", "%YAML 1.1\n---\n"], ids=repr)
def test_what_is_plain_all_the_same_passes(start: str, tmp_path: Path, tried: Tried) -> None:
    tried("object files")
    assert verdict(tmp_path, start + yaml.safe_dump(FULL)) is None


def test_yes_no_and_dates_are_texts_among_accepted_values(tmp_path: Path, tried: Tried) -> None:
    tried("object files")
    path = written(tmp_path, yaml.safe_dump(VALID["user"]) + "")
    text = path.read_text(encoding="utf-8")
    listed = text.replace("- North\n", "- No\n  - on\n  - 2026-01-05\n  - 010\n  - 1e5\n")
    assert listed != text
    path.write_text(listed, encoding="utf-8")
    accepted = read_object_file(path).accepted_values["Division"]
    assert accepted[:5] == ("No", "on", "2026-01-05", "010", "1e5")


def test_a_file_that_is_not_there_or_none(tmp_path: Path, tried: Tried) -> None:
    for name in ("nowhere.yml", "folder.yml"):
        path = tmp_path / name
        if name.startswith("folder"):
            path.mkdir()
        with pytest.raises(ObjectFileError, match=rf"{name}: cannot be read: .*\n{HELP}"):
            read_object_file(path)
        tried("object files")


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), any_texts(max_size=40), st.sampled_from(TEXTS), st.dates()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_texts(max_size=12), inner, max_size=4)
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[Any, Any]:
    """A valid document of which one to three places are replaced, removed, doubled or added."""
    document: dict[Any, Any] = copy.deepcopy(draw(st.sampled_from([*VALID.values(), FULL])))
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(sorted(document, key=str)) | any_texts(max_size=20))
        place = document.get(key)
        if isinstance(place, list) and place and draw(st.booleans()):
            place.insert(draw(st.integers(0, len(place))), draw(VALUES))
        elif isinstance(place, dict) and place and draw(st.booleans()):
            place[draw(st.sampled_from(sorted(place)) | any_texts(max_size=12))] = draw(VALUES)
        elif draw(st.integers(0, 4)) == 0:
            document.pop(key, None)
        else:
            document[key] = draw(VALUES)
    return document


LIGHTLY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(LIGHTLY, max_examples=1200)
@given(document=damaged())
def test_any_damage_is_refused_readably_or_harmless(tmp_path: Path, tried: Tried, document: dict[Any, Any]) -> None:
    tried("object files")
    try:
        text = json.dumps(document, default=str)
    except TypeError:
        text = yaml.safe_dump(document)
    said = verdict(tmp_path, text)
    if said is None:
        found = read_object_file(tmp_path / "user.yml")
        assert all(name.isascii() and name.isidentifier() for name in (*found.fields, *found.columns, found.table))
        assert all(found.dimension_column(name).isidentifier() for name in found.fields)


@settings(LIGHTLY, max_examples=600)
@given(place=st.floats(0, 1), cut=st.integers(0, 40), put=any_texts(max_size=30), key=st.sampled_from(sorted(VALID)))
def test_any_edit_of_the_text_is_refused_readably_or_harmless(
    tmp_path: Path, tried: Tried, place: float, cut: int, put: str, key: str
) -> None:
    tried("object files")
    text = (OBJECTS_FOLDER / f"{key}.yml").read_text(encoding="utf-8")
    at = int(place * len(text))
    verdict(tmp_path, text[:at] + put + text[at + cut :])


@settings(LIGHTLY, max_examples=300)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_refused_readably(tmp_path: Path, tried: Tried, content: bytes) -> None:
    tried("object files")
    assert verdict(tmp_path, content) is not None


_PARSE = """
import json, sys
from pathlib import Path
import include.config.object_file as object_file
object_file.read_object_files.__defaults__ = (Path(sys.argv[2]),)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], include_examples=False)
print("RESULT" + json.dumps([list(bag.dags), list(bag.import_errors.values())]))
"""


def test_airflow_shows_a_wrong_file_as_an_import_error_that_a_person_can_read(tmp_path: Path, tried: Tried) -> None:
    tried("object files")
    objects = tmp_path / "objects"
    objects.mkdir()
    written(objects, {**FULL, "lookback": "'; drop table sf_user; --", "colour": "red"})
    done = run_in_airflow(tmp_path / "airflow", _PARSE, str(PROJECT / "dags"), str(objects))
    assert done.returncode == 0, done.stderr[-3000:]
    dags, errors = json.loads(done.stdout.split("RESULT", 1)[1])
    assert dags == ["sf_history_watch"], "who is on call goes on being told of what was open"
    assert len(errors) == 2, "the pipelines and their upkeep"
    for error in errors:
        assert error.rstrip().endswith(HELP)
        assert "user.yml: 2 problem(s)\n  lookback: a duration is a whole number and a unit" in error
        assert '(got "\'; drop table sf_user; --")' in error
        assert "  colour: is not a key; allowed are version, object" in error
