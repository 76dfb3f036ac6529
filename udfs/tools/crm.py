"""A company's name in, what our own records hold about it out.

Two MongoDB collections, `crm_accounts` and `firmographics`, one document per company; `_id` is
`company_key(company_name)`, so that "ACME, Inc." finds "Acme". What is not found is an answer.
"""

import re
import unicodedata
from datetime import date
from typing import Any

from connectors.mongodb import shared_database

NAME_CHARACTERS = 200

_DOTTED = re.compile(r"\b(?:\w\.){2,}")
_LEGAL_FORMS = frozenset(
    # one word each, as they are once dots, slashes and accents are gone
    "ab ag as asa aps bv bvba co company corp corporation cv ehf eg ek gbr gesmbh gmbh holding"
    " inc incorporated kft kg kgaa kk limited llc llp lp ltd ltda mbh nv oy oyj plc pte pty pvt"
    " sa sab sae sarl sas se sl sl spa spzoo sro srl ug".split()
)
_JOINED_FORMS = re.compile(r"\b(sp) z o ?o$|\b(s) (a|l|p a|r l|a r ?l|r o)$|\b(a) (s|b|g)$")


async def look_up_account(company_name: str) -> dict[str, Any]:
    """Look a company up in the CRM: is it a customer, an open or lost deal, and who owns it?

    Args:
        company_name: The company's name, as the lead gave it.

    Returns:
        `found`, and where it is true the account's owner, status, open opportunities, last contact
        and notes, as far as they are known.
    """
    return await _look_up("crm_accounts", company_name)


async def look_up_firmographics(company_name: str) -> dict[str, Any]:
    """Look up what kind of company it is: industry, employees, revenue, country.

    Args:
        company_name: The company's name, as the lead gave it.

    Returns:
        `found`, and where it is true the company's figures, as far as they are known.
    """
    return await _look_up("firmographics", company_name)


async def _look_up(collection: str, company_name: str) -> dict[str, Any]:
    key = company_key(company_name)
    found = await shared_database()[collection].find_one({"_id": key}) if key else None
    if found is None:
        return {"found": False, "company_name": company_name[:NAME_CHARACTERS]}
    return {"found": True, **{name: _plain(found[name]) for name in found if name != "_id"}}


def company_key(company_name: str) -> str:
    """The name by which a company is filed: lower case, no accents, signs or legal form.

    "Société Générale S.A." → "societe generale"; a name that is only a legal form stays as it is.
    """
    name = unicodedata.normalize("NFKD", company_name[:NAME_CHARACTERS]).casefold()
    name = "".join(c for c in name if not unicodedata.combining(c)).replace("&", " and ")
    name = _DOTTED.sub(lambda dotted: dotted[0].replace(".", ""), name)
    words = re.sub(r"[^\w]+|_", " ", re.sub(r"['’`]", "", name)).split()
    words = _JOINED_FORMS.sub(lambda form: form[0].replace(" ", ""), " ".join(words)).split()
    while len(words) > 1 and words[-1] in _LEGAL_FORMS and words != ["the", words[-1]]:
        words.pop()
        if len(words) > 1 and words[-1] == "and":
            words.pop()
    return " ".join(words)


def _plain(value: Any) -> Any:
    """A value of BSON as one of JSON."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
