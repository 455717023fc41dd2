"""A secret is taken out of a text in whatever way it was written, and wherever it stands in what was encoded."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.salesforce.errors import problem_of
from include.salesforce.redaction import hide
from tests.hostile.conftest import Tried

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=8, max_size=60)
LIGHTLY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LIGHTLY
@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_every_form_of_a_secret_is_hidden(tried: Tried, secret: str, before: bytes, after: bytes) -> None:
    for form in (secret, quote(secret), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]):
        assert form not in hide(f"a {form} b", [secret])
        tried("secrets, in every form")
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    left = hide(encoded, [secret]).split("***")
    assert len(left) == 2, "the middle is gone"
    assert len(left[0]) <= len(base64.b64encode(before)) + 2
    tried("secrets, in every form")


@pytest.mark.parametrize("body", ["[{{'errorCode': '{0}', 'message': 'no {0}'}}]", "<title>{0}</title>"])
def test_no_error_quotes_a_secret(body: str, tried: Tried) -> None:
    secret = "s3cr3t-of-mine"
    text = body.format(secret).replace("'", '"')
    said = problem_of(
        status=403, body=text, what="x", retry_after=None, rate_delay=1, hide=lambda one: hide(one, [secret])
    )
    assert "***" in str(said)
    assert secret not in str(said)
    tried("secrets, in every form")
