"""An audit for people and scripts: a table, JSON, JUnit XML for CI, and one line of proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from lxml import etree
from lxml.builder import E

from infra.audit.model import Audit, Item, Place
from infra.counting import counted

_SHOWN: Final = 8
_HEADINGS: Final = {
    "leftover": "left of it",
    "missing": "missing",
    "foreign": "in its way",
    "unexplained": "came since, without a mark",
    "note": "worth knowing",
    "kept": "kept",
}
_LONG: Final = frozenset({"kept", "unexplained"})


def proof(audit: Audit) -> str:
    """Return one line of proof that nothing is left, or what is; with what couldn't be looked at."""
    looked = f"{counted(audit.looked_at, 'object')} looked at in {audit.seconds:.1f} s"
    hosts = [place for place in audit.hosts if not place.given_up and not place.unseen.get("")]
    given_up = [place.name for place in audit.hosts if place.given_up]
    if audit.wrong:
        listed = "; ".join(f"{name}: {item}" for name, item in audit.wrong[:_SHOWN])
        more = f" and {len(audit.wrong) - _SHOWN} more" if len(audit.wrong) > _SHOWN else ""
        text = f"{counted(len(audit.wrong), 'object')} of {audit.instance} still there: {listed}{more} ({looked})"
    elif hosts or not audit.hosts:
        text = f"nothing of {audit.instance} is left on {counted(len(hosts), 'host')}: {looked}"
    else:
        text = f"no host was looked at for what is left of {audit.instance}"
    if audit.unseen:
        text += "; not looked at: " + "; ".join(f"{name}: {why}" for name, why in audit.unseen)
    if given_up:
        text += f"; not asked, as lost: {', '.join(given_up)}"
    unexplained = [] if audit.strict else [item for place in audit.places for item in place.of("unexplained")]
    if unexplained:
        named = ", ".join(map(str, unexplained[:3])) + (", …" if len(unexplained) > 3 else "")
        text += f"; {counted(len(unexplained), 'other object')} came meanwhile without a mark: {named}"
    if any(not place.since for place in hosts):
        text += "; by mark alone where no inventory was taken before the first object"
    return text


def as_table(audit: Audit) -> str:
    """Return the audit as people read it."""
    return "".join(f"{line}\n" for line in _lines(audit))


def as_json(audit: Audit) -> dict[str, Any]:
    """Return the audit's JSON object."""
    return {
        "instance": audit.instance,
        "ok": audit.exit_code == 0,
        "clean": not any(place.of("leftover") for place in audit.places) and not audit.unseen,
        "exitCode": audit.exit_code,
        "strict": audit.strict,
        "seconds": round(audit.seconds, 2),
        "lookedAt": audit.looked_at,
        "counts": dict(Counter(item.verdict for place in audit.places for item in place.items)),
        "hosts": [_place(place) for place in audit.hosts],
        "beside": [_place(place) for place in audit.beside],
    }


def as_junit(audit: Audit) -> str:
    """Return JUnit XML: a suite for each place, a case for each way in which it could be wrong."""
    suites = [_suite(audit, place) for place in audit.places]
    root = E.testsuites(*suites, name=f"azlocal audit {audit.instance}", time=f"{audit.seconds:.1f}")
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name)) for suite in suites)))
    text: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return text.decode()


def _lines(audit: Audit) -> Iterator[str]:
    for place in audit.places:
        if place.given_up:
            yield f"{place.name}: not asked: {place.given_up}"
            continue
        compared = f", compared with the inventory of {place.since}" if place.since else ""
        by_mark = "" if place.since or place in audit.beside else ", by mark alone: no inventory was taken"
        yield f"{place.name}: {counted(place.looked_at, 'object')} looked at{compared}{by_mark}"
        for what, why in place.unseen.items():
            yield f"  not looked at   {what + ': ' if what else ''}{why}"
        for verdict, heading in _HEADINGS.items():
            items = [item for item in place.items if item.verdict == verdict]
            for item in items[:_SHOWN] if verdict in _LONG else items:
                yield f"  {heading:15} {item}"
            if verdict in _LONG and len(items) > _SHOWN:
                yield f"  {heading:15} and {len(items) - _SHOWN} more: --format json lists them"
    yield _summary(audit)


def _summary(audit: Audit) -> str:
    if audit.exit_code == 0:
        return f"{audit.instance}: all is as its state says ({audit.looked_at:,} objects in {audit.seconds:.1f} s)"
    parts = [
        *([f"{counted(len(audit.wrong), 'object')} wrong"] if audit.wrong else []),
        *([f"{counted(len(audit.unseen), 'look')} failed"] if audit.unseen else []),
    ]
    return f"{audit.instance}: {', '.join(parts)} ({audit.looked_at:,} objects in {audit.seconds:.1f} s)"


def _place(place: Place) -> dict[str, Any]:
    return {
        "name": place.name,
        "lookedAt": place.looked_at,
        "inventoryTaken": place.since or None,
        "notAsked": place.given_up or None,
        "notLookedAt": [{"what": what or "everything", "reason": why} for what, why in place.unseen.items()],
        "objects": [_item(item) for item in place.items],
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "verdict": item.verdict,
        "kind": item.kind,
        "name": item.name,
        "note": item.note,
        "byMark": item.is_certain,
    }


def _suite(audit: Audit, place: Place) -> Any:
    wrong = {item.verdict for name, item in audit.wrong if name == place.name}
    suite = E.testsuite(name=place.name)
    for verdict, heading in _HEADINGS.items():
        items = place.of(verdict)  # type: ignore[arg-type]
        case = E.testcase(name=verdict, classname=f"audit.{place.name}")
        text = "\n".join(map(str, items))
        if place.given_up:
            case.append(E.skipped(message=place.given_up))
        elif verdict in wrong:
            case.append(E.failure(text, message=f"{len(items)} {heading}", type=verdict))
        elif text:
            case.append(E("system-out", text))
        suite.append(case)
    looked = E.testcase(name="looked-at", classname=f"audit.{place.name}")
    for what, why in place.unseen.items():
        looked.append(E.error(f"{what}: {why}" if what else why, message=why, type="not-looked-at"))
        break
    suite.append(looked)
    suite.set("tests", str(len(suite)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
    return suite
