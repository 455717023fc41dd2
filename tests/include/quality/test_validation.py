"""Which records pass, which are refused and why, and when a run may not be published at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.config.object_file import ObjectFile
from include.quality.validation import TooManyRejects, Validation, validate
from include.staging import store
from include.staging.manifest import ExtractionManifest, ValidationManifest
from tests.include.quality.rows import FILE, NOON, user, user_id

Staged = Callable[..., ExtractionManifest]
EARLIER = NOON - timedelta(seconds=1)


class Judged:
    """What validation made of some rows."""

    def __init__(self, validation: Validation) -> None:
        self.validation, self.manifest = validation, validation.manifest
        self.accepted = _rows(self.manifest.files)
        self.rejects = _rows(validation.reject_files)
        self.present = [row["id"] for row in _rows(self.manifest.present_files)]

    @property
    def reasons(self) -> dict[str | None, str]:
        return {row["id"]: row["reasons"] for row in self.rejects}

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.manifest.accepted, self.manifest.rejected, self.manifest.superseded


def _rows(uris: tuple[str, ...]) -> list[dict[str, Any]]:
    return [row for batch in store.read_batches(uris) for row in batch.to_pylist()]


@pytest.fixture
def judge(staged: Staged, tmp_path: Path) -> Callable[..., Judged]:
    def judged(*rows: dict[str, Any], file: ObjectFile = FILE) -> Judged:
        folder = str(tmp_path / "run" / "validate")
        return Judged(validate(extraction=staged(*rows), object_file=file, staging_folder=folder))

    return judged


def test_good_records_pass_unchanged(judge: Callable[..., Judged]) -> None:
    rows = [user(number) for number in range(7)]
    found = judge(*rows)
    assert found.accepted == rows
    assert found.counts == (7, 0, 0)
    assert (found.rejects, found.present, found.manifest.warnings) == ([], [], ())
    assert found.validation.gate() is found.manifest
    assert ValidationManifest.model_validate(found.manifest.model_dump(mode="json")) == found.manifest


def test_no_records_at_all_pass(judge: Callable[..., Judged]) -> None:
    found = judge()
    assert found.counts == (0, 0, 0)
    assert found.validation.gate().files == ()


@pytest.mark.parametrize("empty", [None, ""])
def test_a_required_value_that_is_missing_is_refused_but_the_record_is_present(
    judge: Callable[..., Judged], empty: str | None
) -> None:
    found = judge(user(1), user(2, name=empty, lastmodifieddate=EARLIER))
    assert [row["id"] for row in found.accepted] == [user_id(1)]
    assert found.reasons == {user_id(2): "Name is missing"}
    assert found.present == [user_id(2)]
    assert found.manifest.reasons == {"Name is missing": 1}
    record = json.loads(found.rejects[0]["record"])
    assert list(record) == list(FILE.columns)
    assert record["name"] == empty
    assert (record["lastmodifieddate"], record["isactive"]) == ("2026-01-05T11:59:59Z", True)


@pytest.mark.parametrize(
    "identity", ["005", "005000000000001A", "005000000000001AA!", "0050000000000 1", "x" * 19, "é" * 15]
)
def test_a_malformed_id_is_refused_and_proves_no_presence(judge: Callable[..., Judged], identity: str) -> None:
    found = judge(user(1), user(2, id=identity))
    assert "Id is malformed" in found.reasons[identity]
    assert found.present == []
    assert found.manifest.reasons == {"Id is malformed": 1}


def test_ids_of_15_characters_and_ids_that_differ_in_case_are_different_records(judge: Callable[..., Judged]) -> None:
    ids = ["005000000000abc", "005000000000ABC", "005000000000abcAAA"]
    found = judge(*(user(number, id=identity) for number, identity in enumerate(ids)))
    assert [row["id"] for row in found.accepted] == ids


@pytest.mark.parametrize("empty", [None, ""])
def test_a_record_without_an_id_is_refused(judge: Callable[..., Judged], empty: str | None) -> None:
    found = judge(user(1, id=empty), user(2, id=empty), user(3))
    assert found.manifest.reasons == {"Id is missing": 2}
    assert found.counts == (1, 2, 0)


@pytest.mark.parametrize("column", ["systemmodstamp", "lastmodifieddate"])
def test_a_record_that_cannot_be_put_in_order_is_refused_and_present(judge: Callable[..., Judged], column: str) -> None:
    found = judge(user(1, **{column: None}), user(2))
    assert "cannot be put in order" in found.reasons[user_id(1)]
    assert found.present == [user_id(1)]


def test_every_reason_of_a_record_is_told_and_the_record_counted_once(judge: Callable[..., Judged]) -> None:
    found = judge(user(1, name=None, username="same"), user(0, username="same"))
    assert found.reasons == {user_id(1): f"Name is missing; Username 'same' is shared with {user_id(0)}"}
    assert found.manifest.rejected == 1
    assert found.manifest.reasons == {"Name is missing": 1, "Username is not unique": 1}


def test_identical_repeats_collapse(judge: Callable[..., Judged]) -> None:
    found = judge(user(1), user(2), user(1), user(3), user(1))
    assert sorted(row["id"] for row in found.accepted) == [user_id(1), user_id(2), user_id(3)]
    assert found.counts == (3, 0, 2)


def test_the_newest_state_of_an_id_wins_wherever_it_was_read(judge: Callable[..., Judged]) -> None:
    new, old = user(1, division="South"), user(1, systemmodstamp=EARLIER)
    for rows in ((new, old, user(2)), (old, user(2), new), (old, new, old, user(2))):
        found = judge(*rows)
        assert [row for row in found.accepted if row["id"] == user_id(1)] == [new]
        assert found.counts == (2, 0, len(rows) - 2)


def test_two_states_with_one_cursor_cannot_both_be_kept(judge: Callable[..., Judged]) -> None:
    one, other = user(1, division="North"), user(1, division="South")
    kept = []
    for rows in ((one, other), (other, one), (one, other, one), (other, user(1, systemmodstamp=EARLIER), one)):
        found = judge(*rows)
        kept += found.accepted
        assert found.counts == (1, 1, len(rows) - 2)
        assert found.reasons == {user_id(1): "duplicate Id: two states with the same SystemModstamp"}
    assert kept == [kept[0]] * 4


def test_the_newest_state_is_judged_even_if_an_older_one_would_pass(judge: Callable[..., Judged]) -> None:
    found = judge(user(1, name=""), user(1, systemmodstamp=EARLIER), user(2))
    assert found.reasons == {user_id(1): "Name is missing"}
    assert found.present == [user_id(1)]
    assert found.counts == (1, 1, 1)


def test_a_unique_value_belongs_to_the_first_id(judge: Callable[..., Judged]) -> None:
    found = judge(
        *(user(number, username="same") for number in (5, 3, 4)), user(1, username=None), user(2, username="")
    )
    assert sorted(row["id"] for row in found.accepted) == [user_id(1), user_id(2), user_id(3)]
    assert set(found.reasons) == {user_id(4), user_id(5)}
    assert all(reason == f"Username 'same' is shared with {user_id(3)}" for reason in found.reasons.values())


def test_a_value_that_an_id_has_given_up_is_free(judge: Callable[..., Judged]) -> None:
    given_up = user(1, username="wanted", systemmodstamp=EARLIER)
    found = judge(given_up, user(1, username="other"), user(2, username="wanted"))
    assert found.counts == (2, 0, 1)


def test_unlisted_values_warn_and_pass(judge: Callable[..., Judged], caplog: pytest.LogCaptureFixture) -> None:
    rows = [user(number, division=["Nrth", None, "", "North", "Nrth", "Ost"][number % 6]) for number in range(6)]
    found = judge(*rows)
    (warning,) = found.manifest.warnings
    assert found.counts == (6, 0, 0)
    assert warning == "Division has 2 value(s) that accepted_values in user.yml does not list: 'Nrth' (2), 'Ost' (1)"
    assert warning in caplog.text


def test_a_warning_names_twenty_values_and_counts_the_rest(judge: Callable[..., Judged]) -> None:
    (warning,) = judge(*(user(number, division=f"d{number:02d}") for number in range(25))).manifest.warnings
    assert warning.count("(1)") == 20
    assert warning.endswith("and 5 more")


def test_rows_touched_after_the_window_are_kept_for_the_presence_they_prove(judge: Callable[..., Judged]) -> None:
    found = judge(user(1, systemmodstamp=NOON + timedelta(hours=1)))
    assert found.counts == (1, 0, 0)


@pytest.mark.parametrize(("bad", "allowed", "passes"), [(1, 5, True), (2, 5, False), (1, 4.9, False), (0, 0, True)])
def test_the_gate_closes_above_its_percentage(
    judge: Callable[..., Judged], bad: int, allowed: float, passes: bool
) -> None:
    file = FILE.model_copy(update={"max_error_percent": allowed})
    found = judge(*(user(number, name=None if number < bad else "fine") for number in range(20)), file=file)
    if passes:
        assert found.validation.gate().rejected == bad
        return
    with pytest.raises(TooManyRejects) as caught:
        found.validation.gate()
    said = str(caught.value)
    for part in (f"{bad} of 20 User records", f"over the {allowed:g} %", "Name is missing", user_id(0), "quarantine"):
        assert part in said
    assert len(found.rejects) == bad


def test_an_error_names_five_examples_at_most(judge: Callable[..., Judged]) -> None:
    with pytest.raises(TooManyRejects) as caught:
        judge(*(user(number, name="") for number in range(12))).validation.gate()
    assert sum(user_id(number) in str(caught.value) for number in range(12)) == 5


def test_a_retry_leaves_no_file_of_the_attempt_before(judge: Callable[..., Judged]) -> None:
    judge(user(1, name=None), user(2))
    found = judge(user(1), user(2))
    folder = Path(found.manifest.files[0]).parent
    assert [path.name for path in folder.iterdir()] == ["accepted-00000.parquet"]


ROWS = st.lists(
    st.builds(
        user,
        st.integers(0, 4),
        name=st.sampled_from(["a", "b", None, ""]),
        username=st.sampled_from(["x", "y", None]),
        division=st.sampled_from(["North", "South", "Ost"]),
        systemmodstamp=st.sampled_from([NOON, EARLIER, None]),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, data=st.data())
def test_whatever_is_read_every_record_is_accounted_for(
    judge: Callable[..., Judged], rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    found = judge(*rows)
    assert sum(found.counts) == len(rows)
    ids = [row["id"] for row in found.accepted]
    assert len(ids) == len(set(ids))
    usernames = Counter(row["username"] for row in found.accepted if row["username"])
    assert all(count == 1 for count in usernames.values())
    assert {row["id"] for row in rows} == set(ids) | set(found.present)
    assert all(row in rows and row["name"] and row["systemmodstamp"] for row in found.accepted)
    again = judge(*data.draw(st.permutations(rows)))
    assert sorted(map(str, again.accepted)) == sorted(map(str, found.accepted))
    assert sorted(map(str, again.rejects)) == sorted(map(str, found.rejects))
