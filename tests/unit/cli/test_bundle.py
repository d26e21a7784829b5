"""Masking of what may be secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.cli.bundle import MASK, mask_text, masked

SECRET = "s3cr3t-Value/42"


@pytest.mark.parametrize(
    "value",
    [
        {"password": SECRET},
        {"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET}]},
        {"data": {"api-key": SECRET, "apiKey": SECRET}},
        {"annotations": {"note": f"token={SECRET}"}},
        {"args": [f"--password={SECRET}", f"https://me:{SECRET}@host/path"]},
        {"authorization": [SECRET]},
        {"message": f"Authorization: Bearer {SECRET}"},
        {"key": "AKIAIOSFODNN7EXAMPLE"},
    ],
)
def test_what_may_be_secret_is_masked(value: dict[str, object]) -> None:
    told = str(masked(value))
    assert SECRET not in told
    assert "AKIAIOSFODNN7EXAMPLE" not in told
    assert MASK in told


def test_names_of_secrets_and_everything_else_stay() -> None:
    kept = {
        "storage": {"secretName": "s3", "endpoint": "http://s3.example"},
        "env": [
            {"name": "MODE", "value": "fast"},
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "K"}}},
        ],
        "replicas": 3,
        "message": "tokens are counted per second",
    }
    assert masked(kept) == kept


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=("Z", "C", "P", "S")), min_size=8), st.text())
def test_a_password_in_an_address_never_survives(secret: str, around: str) -> None:
    assert f":{secret}@" not in mask_text(f"{around} s3://user:{secret}@host")
