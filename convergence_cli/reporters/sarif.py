"""SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from convergence_cli.codec import TOOL, plain
from convergence_cli.printable import printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._location import relative
from convergence_cli.reporters._wording import sentence, worst_first

if TYPE_CHECKING:
    from convergence_cli.model import Finding, Report, RunError, RunReport

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(report: Report, look: Look = PLAIN) -> str:
    """One SARIF run: rules with their pages, a result a finding, and what could not be read."""
    rules = _rules(report, look)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [
        _result(run, item, index[item.rule], look.base) for run in report.runs for item in worst_first(run.findings)
    ]
    driver = {"name": TOOL, "version": report.version, "rules": rules}
    invocation: dict[str, Any] = {"executionSuccessful": not report.errors}
    if report.errors:
        invocation["toolExecutionNotifications"] = [_notification(error, look.base) for error in report.errors]
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, allow_nan=False, indent=2) + "\n"


def _rules(report: Report, look: Look) -> list[dict[str, Any]]:
    """A rule for every code that was found, with its page where one is given."""
    pages = {rule.code: rule for rule in look.rules}
    found = {item.rule: item for run in report.runs for item in run.findings}
    entries = []
    for code, item in sorted(found.items()):
        entry: dict[str, Any] = {
            "id": printable(code),
            "name": printable(item.name),
            "defaultConfiguration": {"level": item.severity},
        }
        if code in pages:
            page = pages[code]
            entry["defaultConfiguration"] = {"level": page.severity}
            entry["shortDescription"] = {"text": page.summary}
            entry["help"] = {"text": page.doc}
        entries.append(entry)
    return entries


def _result(run: RunReport, item: Finding, index: int, base: str) -> dict[str, Any]:
    logical = [
        {"name": printable(name), "kind": kind}
        for name, kind in ((item.where.series, "series"), (item.where.layer, "layer"))
        if name
    ]
    location = _location(relative(item.where.file or run.path, base), item.where.line or 1)
    if logical:
        location["logicalLocations"] = logical
    return {
        "ruleId": printable(item.rule),
        "ruleIndex": index,
        "level": item.severity,
        "message": {"text": sentence(item.message)},
        "locations": [location],
        "partialFingerprints": {"ctroubleshoot/v1": printable(item.fingerprint)},
        "properties": {
            "confidence": item.confidence,
            "evidence": plain(item.evidence),
            "firstStep": item.where.first_step,
            "lastStep": item.where.last_step,
        },
    }


def _notification(error: RunError, base: str) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": sentence(f"{error.message} {error.hint or ''}")},
        "locations": [_location(relative(error.path, base), 1)],
    }


def _location(path: str, line: int) -> dict[str, Any]:
    uri = quote(PurePath(path).as_posix().encode("utf-8", "surrogatepass"), safe="/.")
    if uri.startswith("/"):
        uri = f"file://{uri}"
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": max(line, 1)}}}
