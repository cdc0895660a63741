"""The form of a text, said in words: nobody who writes a file is shown a regular expression."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def _any_case(word: str) -> str:
    """Return a pattern for a word in upper or lower case; JavaScript, which editors run, has no `(?i)`."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" for letter in word)


_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,%d}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Form:
    """The form that a text has: a pattern in the JSON schema, words and an example everywhere else.

    Annotate a text with it, and what has another form is refused when the file is read.

    Attributes:
        pattern: What all of the text matches.
        words: What such a text is, after "is not" and "expected": `a logical network's name: 2-64 letters, …`.
        example: One that has the form.
        by_rule: A rule of the plan refuses what has another form, beside what else is wrong with the value; the
            model only puts the pattern into the JSON schema.
        is_generic: The example says nothing of the key that it would stand at, so no editor shows it.
        advise: Says what to write instead of a text, where there is more to say than the example.
    """

    pattern: str
    words: str
    example: str
    by_rule: bool = False
    is_generic: bool = False
    advise: Callable[[str], str] | None = None

    def fits(self, text: str) -> bool:
        """Tell whether a text has the form."""
        return re.fullmatch(self.pattern, text) is not None

    def remedy(self, text: str) -> str:
        """Say what to write instead of a text; what it suggests has the form."""
        if self.advise is not None:
            return self.advise(text)
        return f"write {text.strip()}" if self.fits(text.strip()) else f"write it as {self.example}"

    def _check(self, value: object) -> object:
        if isinstance(value, str) and self.fits(value):
            return value
        raise PydanticCustomError("wrong-form", "{expected}", {"expected": self.words, "form": self})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the form before all else, so that a number is told what it must be, too."""
        schema = handler(source)
        return schema if self.by_rule else core_schema.no_info_before_validator_function(self._check, schema)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the pattern as JSON schemas have it."""
        examples = {} if self.is_generic else {"examples": [self.example]}
        return {**handler(schema), "pattern": f"^({self.pattern})$", **examples}


@dataclass(frozen=True, slots=True)
class Example:
    """Marks a text whose form a check of its own knows: what somebody is told who wrote no text."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Marks choices of a key that a rule refuses all the same, so that no remedy names them.

    Attributes:
        choices: Azure's names of what it has, and azlocal can't make.
    """

    choices: tuple[str, ...]


ANY_NAME = Form(
    r"[^/]*[^/\s][^/]*", "a name: letters, digits and hyphens, no /", "name-1", by_rule=True, is_generic=True
)
HOST_NAME = Form(
    _DNS_LABEL % 61,
    "a host's name: 1-63 lower-case letters, digits and inner hyphens",
    "node1",
    by_rule=True,
)
CLUSTER_NAME = Form(
    _DNS_LABEL % 38,
    "a cluster's name: 1-40 lower-case letters, digits and inner hyphens",
    "cluster-a",
    by_rule=True,
)
POOL_NAME = Form(
    "[a-z][a-z0-9]{2,11}",
    "a pool's name: 3-12 lower-case letters and digits, a letter first",
    "nodepool1",
    by_rule=True,
)
NETWORK_NAME = Form(
    "[a-zA-Z0-9][-._a-zA-Z0-9]{0,62}[_a-zA-Z0-9]",
    "a logical network's name: 2-64 letters, digits, - . _, a letter or digit first, no - or . last",
    "aks-vlan110",
    by_rule=True,
)
SITE_NAME = Form(
    "[A-Za-z0-9][-_A-Za-z0-9]{0,62}",
    "a site's name: 1-63 letters, digits, - and _, a letter or digit first",
    "lab",
)
_YEAR_AND_MONTH = "[0-9]{2}(0[1-9]|1[0-2])"


def _release(text: str) -> str:
    digits = "".join(character for character in text if character in "0123456789")
    meant = digits[-4:] if len(digits) in (4, 6) else ""
    return f'write "{meant}"' if re.fullmatch(_YEAR_AND_MONTH, meant) else 'write it as "2602"'


RELEASE = Form(
    _YEAR_AND_MONTH,
    "a release of Azure Local: two digits of the year, two of the month",
    "2602",
    advise=_release,
)
OWNER = Form(r".*\S.*", "words that say who has an address", "printer", by_rule=True, is_generic=True)
# As the kernel (net/core/dev.c: dev_valid_name) and netplan (src/parse.c: assert_valid_id) have it.
NIC_NAME = Form(
    r"(?!\.{1,2}$)[!-)+-.0-9;->@-Z\\^-~]{1,15}",
    "the name of a NIC: 1-15 letters, digits and signs, no space and none of / : * ? [ ]",
    "eno1",
)
DIRECT = Form(r"[^\s,]{1,253}", "a name, address or prefix: 1-253 characters, no space or comma", "192.0.2.0/24")
GUID = Form("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a GUID", "00000000-0000-0000-0000-000000000000")
HTTPS_URL = Form(r"https://[^\s/]+(/\S*)?", "an https:// address", "https://management.example.net")


def _of_hybrid_compute(kind: str) -> Form:
    """Return the form of the id of a resource of Microsoft.HybridCompute, as `az connectedk8s` has it."""
    group = rf"/{_any_case('subscriptions')}/{GUID.pattern}/{_any_case('resourceGroups')}/[-_.()\w]+"
    provider = rf"/{_any_case('providers')}/{_any_case('Microsoft.HybridCompute')}/{_any_case(kind)}/[-_\w]+"
    start = f"/subscriptions/{GUID.example}/resourceGroups/lab/providers/Microsoft.HybridCompute"
    return Form(group + provider, f"the id of a resource Microsoft.HybridCompute/{kind}", f"{start}/{kind}/lab")


PRIVATE_LINK_SCOPE = _of_hybrid_compute("privateLinkScopes")
ARC_GATEWAY = _of_hybrid_compute("gateways")
EXTENSION_NAME = Form(
    "[a-zA-Z0-9][a-zA-Z0-9.-]{0,252}",
    "an extension's name: 1-253 letters, digits, - and ., a letter or digit first",
    "azuremonitor-containers",
)
NAMESPACE = Form(
    _DNS_LABEL % 61,
    "the name of a namespace: 1-63 lower-case letters, digits and inner hyphens",
    "apps",
    by_rule=True,
)
OBJECT_NAME = Form(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "the name of an object in Kubernetes: lower-case letters, digits, inner hyphens and dots",
    "apps",
    by_rule=True,
)
CUSTOM_LOCATION_NAME = Form(
    "[a-zA-Z0-9]|[a-zA-Z0-9][-_a-zA-Z0-9]{0,61}[a-zA-Z0-9]",
    "the name of a custom location: 1-63 letters, digits, inner hyphens and underscores",
    "site-1",
    by_rule=True,
)
RESOURCE_GROUP = Form(
    r"[-\w().]{0,89}[-\w()]",
    "the name of a resource group: 1-90 letters, digits, hyphens, underscores, parentheses and inner dots",
    "azure-local",
    by_rule=True,
)
STORAGE_ACCOUNT = Form(
    "[a-z0-9]{3,24}", "the name of a storage account: 3-24 lower-case letters and digits", "azurelocalbackup"
)
BLOB_CONTAINER = Form(
    "[a-z0-9](-?[a-z0-9]){2,62}",
    "the name of a blob container: 3-63 lower-case letters, digits and single inner hyphens",
    "cluster-a",
)
DURATION = Form(
    r"([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+", "a time as Go writes it: numbers with ms, s, m or h behind each", "2m"
)
