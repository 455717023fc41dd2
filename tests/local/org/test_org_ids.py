"""The two forms of a record Id, on Ids of real orgs."""

from __future__ import annotations

import pytest

from local.org.ids import is_id, numbered, to_18


@pytest.mark.parametrize(
    "real",
    ["001Dp00000Ulaz4IAB", "0055e000005wvc4AAA", "0014W000027f6UyQAI", "750Tn000004ZoR3IAK", "00Q4W00001WGXdDUAX"],
)
def test_the_suffix_is_salesforces(real: str) -> None:
    assert to_18(real[:15]) == real
    assert to_18(real) == real


@pytest.mark.parametrize(
    "text", ["", "005", "005000000000001A", "00500000000000é", "0050000000000 1", "005000000000001AAAA"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(ValueError, match="15 or 18 letters and digits"):
        to_18(text)


def test_numbered_ids_sort_by_number_and_differ_in_all_case_blind_forms() -> None:
    made = [numbered("005", number) for number in range(5000)]
    assert made == sorted(made)
    assert len({key.lower() for key in made}) == len(made)
