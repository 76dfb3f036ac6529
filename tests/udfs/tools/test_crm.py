"""CRM look-ups: how names are matched, and what the real collections answer."""

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mongodb import client, close_shared, load_jsonl
from udfs.core.tool import Tool
from udfs.tools.crm import company_key, look_up_account, look_up_firmographics

SAMPLE = Path(__file__).resolve().parents[3] / "sql" / "sdr" / "sample"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ACME, Inc.", "acme"),
        ("  acme  ", "acme"),
        ("ＡＣＭＥ Ltd", "acme"),
        ("Acme Co., Ltd.", "acme"),
        ("Société Générale S.A.", "societe generale"),
        ("Müller & Söhne GmbH & Co. KG", "muller and sohne"),
        ("Straße AG", "strasse"),
        ("Ben & Jerry's", "ben and jerrys"),
        ("AT&T Inc", "at and t"),
        ("Foo A/S", "foo"),
        ("Foo S.p.A.", "foo"),
        ("Foo Sp. z o.o.", "foo"),
        ("Bar S.à r.l.", "bar"),
        ("U.S. Steel Corp.", "us steel"),
        ("Visa", "visa"),
        ("The Company", "the company"),
        ("Inc.", "inc"),
        ("株式会社", "株式会社"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_a_company_is_filed_under_its_plain_name(name: str, key: str) -> None:
    assert company_key(name) == key
    assert company_key(key) == key


@given(st.text())
def test_a_key_has_no_spaces_around_and_no_signs(name: str) -> None:
    key = company_key(name)
    assert key == " ".join(key.split())


def test_the_sample_is_filed_as_it_is_looked_up() -> None:
    for name in ("crm_accounts", "firmographics"):
        for line in (SAMPLE / f"{name}.jsonl").read_text().splitlines():
            company = json.loads(line)
            assert company["_id"] == company_key(company["company_name"])


@pytest.fixture
def records(
    stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv("MONGODB_DATABASE", "test_crm")
    path = tmp_path / "accounts.jsonl"
    path.write_text('{"company_name": "Acme, Inc.", "owner": "Mara", "open": [{"eur": 5}]}\n')
    with client() as mongo:
        database = mongo["test_crm"]
        load_jsonl(database["crm_accounts"], path, lambda row: company_key(row["company_name"]))
        yield database
        mongo.drop_database("test_crm")


def asked(question: Any) -> Any:
    async def main() -> Any:
        try:
            return await question
        finally:
            await close_shared()

    return asyncio.run(main())


def test_an_account_is_found_by_another_spelling(records: Any) -> None:
    assert asked(look_up_account("ACME")) == {
        "found": True,
        "company_name": "Acme, Inc.",
        "owner": "Mara",
        "open": [{"eur": 5}],
    }


@pytest.mark.parametrize("name", ["Nobody GmbH", "", "$where", "a" * 10_000, "\x00", "half \ud800"])
def test_a_company_that_is_not_there_is_an_answer(records: Any, name: str) -> None:
    answer = asked(look_up_account(name))
    assert answer == {"found": False, "company_name": name[:200]}
    assert asked(look_up_firmographics(name))["found"] is False


def test_an_answer_is_plain_json(records: Any) -> None:
    moment = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    records["firmographics"].insert_one({"_id": "acme", "seen": moment, "by": {"at": [moment]}})
    answer = asked(look_up_firmographics("Acme"))
    assert json.loads(json.dumps(answer)) == {
        "found": True,
        "seen": "2026-01-02T00:00:00+00:00",
        "by": {"at": ["2026-01-02T00:00:00+00:00"]},
    }


@pytest.mark.parametrize("function", [look_up_account, look_up_firmographics])
def test_the_docstring_is_the_tools_description(function: Any) -> None:
    spec = Tool.of(function).spec()["function"]
    assert spec["parameters"]["required"] == ["company_name"]
    assert spec["parameters"]["properties"]["company_name"]["description"]
    assert "company" in spec["description"]
