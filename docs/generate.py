"""Writes what the program says of itself: ``docs/rules.md``, ``docs/remedies.md``, parts of ``docs/formats.md`` and
``README.md``.

In ``README.md`` these are the table of rules and the output of each ``console`` block. A line ``...`` in a block
stands for lines left out: each part between two keeps its first line, by which it is found again, and its length.
Usage: python docs/generate.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from convergence_cli.cli.explain import words_for
from convergence_cli.diagnosis.catalogue import REMEDIES
from convergence_cli.diagnosis.causes import CAUSES
from convergence_cli.model import DEFAULT_PROFILE
from convergence_cli.readers.formats import FORMATS, Format
from convergence_cli.rules import Rule, all_rules
from convergence_cli.rules._registry import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
FORMATS_PAGE = ROOT / "docs" / "formats.md"
RULES_PAGE, REMEDIES_PAGE, README = ROOT / "docs" / "rules.md", ROOT / "docs" / "remedies.md", ROOT / "README.md"
LEFT_OUT = "..."
_CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_RULES_TABLE = re.compile(r"(?<=<!-- rules: written by docs/generate.py -->\n).*?(?=<!-- end of rules -->)", re.DOTALL)
_FORMATS_TABLE = re.compile(
    r"(?<=<!-- formats: written by docs/generate.py -->\n).*?(?=<!-- end of formats -->)", re.DOTALL
)
# By the beginning of the code.
_FAMILIES = {
    "LC": "Loss curves",
    "GN": "Generalisation",
    "LR": "Learning rate",
    "GR0": "Gradient norm",
    "GR1": "Gradients, layer by layer",
    "AC": "Activations and logits",
    "WT": "Weights and updates",
    "IN": "Initialization",
    "TE": "Any tensor",
    "DA": "Data and classes",
    "DI": "Workers",
    "TR": "Boosted trees",
    "LG": "The log itself, and its writer",
    "SM": "SageMaker Debugger, with `--profile sagemaker`",
}
_PREFACE = """\
# Rules

<!-- Written by docs/generate.py from the docstrings of convergence_cli/rules: change them there. -->

`ctroubleshoot explain CODE` shows the same pages on the terminal. The severity is the highest that a rule gives:
`error` means that the run is failing, `warning` that it will or that it wastes time, `note` is a fact worth knowing.
A rule that lacks its evidence is listed as *could not look*, with what it needs.
"""


def rules_page() -> str:
    """The text of ``docs/rules.md``."""
    parts = [_PREFACE]
    for family, title in _FAMILIES.items():
        parts += [f"## {title}\n", *(_rule(rule) for rule in all_rules() if rule.code.startswith(family))]
    parts.append(
        "## Causes\n\nWhat the findings can be put down to. `ctroubleshoot explain NAME` says what speaks for each.\n"
    )
    parts.append("| cause | what it is |\n| --- | --- |")
    parts += [f"| {cause.name} | {cause.explanation} |" for cause in CAUSES]
    return "\n".join(parts) + "\n"


_REMEDIES_PREFACE = """\
# Remedies

<!-- Written by docs/generate.py from convergence_cli/diagnosis/catalogue.py: change it there. -->

What `analyze` may propose. The value of a change is computed from the run, and `why` says how; where evidence is
missing, `change` is empty and `why` says which. Each comes with its risk, a snippet for the framework of the run, and
its sources. The order is that of the expected cure: over all causes, the probability of the cause times the share of
runs with that cause that the remedy alone is expected to cure (in brackets, by judgement). No two remedies of a report
change one key, or turn one thing both ways. How often they cure: [causes.md](causes.md#does-the-first-remedy-work).

| remedy | answers | risk |
| --- | --- | --- |
"""


def remedies_page() -> str:
    """The text of ``docs/remedies.md``."""
    rows = []
    for one in REMEDIES:
        answers = ", ".join(f"{cause} ({share:.2g})" for cause, share in one.answers.items())
        rows.append(f"| {one.name} | {answers} | {one.risk or ''} |")
    return _REMEDIES_PREFACE + "\n".join(rows) + "\n"


def _rule(rule: Rule) -> str:
    lines = rule.doc.replace("<", "&lt;").replace("*", "\\*").splitlines()
    shown = [f"### {rule.code} {rule.name}\n", f"*{rule.severity}, since {rule.since}.* {lines[0]}"]
    shown += [f"**{line}.**" if line in SECTIONS else line.strip() for line in lines[1:]]
    return "\n".join([*shown, "", "**Evidence needed.**", f"{words_for(rule.needs)}.", ""])


def rules_table() -> str:
    """The rules of the default profile as the table of the README: one row a family."""
    rows = "| what is looked at | rules |\n| --- | --- |\n"
    for family, title in _FAMILIES.items():
        rules = [rule for rule in all_rules() if rule.code.startswith(family) and rule.profile == DEFAULT_PROFILE]
        if rules:
            rows += f"| {title} | {', '.join(f'{rule.code} {rule.name}' for rule in rules)} |\n"
    return rows


def formats_table() -> str:
    """The formats that are read as the table of ``docs/formats.md``: one row an entry."""
    rows = "| format | what it is | tested against |\n| --- | --- | --- |\n"
    for one in FORMATS:
        names = ", ".join(f"`{name}`" for name in one.names)
        rows += f"| {names} | {one.what} | {_tested_against(one)} |\n"
    return rows


def _tested_against(one: Format) -> str:
    programs = ", ".join(pin.replace("==", " ") for pin in one.checked)
    if one.fixtures:
        return f"fixture: {programs}"
    return ", ".join(filter(None, (one.basis, programs)))


def formats(text: str) -> str:
    """``text`` of the page on formats with its table as it is now."""
    return _FORMATS_TABLE.sub(lambda _: formats_table(), text)


def console_blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of the ``console`` blocks of ``text``, with the lines shown below it."""
    for block in _CONSOLE.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield command, shown


def output_of(command: str) -> list[str]:
    """What ``command`` writes to standard output, as lines, in a new folder that holds a copy of ``fixtures``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CTROUBLESHOOT_", "FORCE_COLOR"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "fixtures", Path(folder) / "fixtures")
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env={**kept, "PATH": path, "NO_COLOR": "1", "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )
    return done.stdout.decode().splitlines()


def trimmed(shown: list[str], output: list[str]) -> list[str]:
    """``output`` with the parts left out that ``shown`` leaves out. Raises ValueError where one is not found."""
    if LEFT_OUT not in shown:
        return output
    parts: list[list[str]] = [[]]
    for line in shown:
        if line == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    first, *middle, last = parts
    kept, at = output[: len(first)], len(first)
    for part in middle:
        at = output.index(part[0], at)
        kept += [LEFT_OUT, *output[at : at + len(part)]]
        at += len(part)
    kept += [LEFT_OUT, *output[len(output) - len(last) :]]
    return kept


def readme(text: str) -> str:
    """``text`` of the README with its table of rules and the output of its commands as they are now."""
    text = _RULES_TABLE.sub(lambda _: rules_table(), text)
    for command, shown in list(console_blocks(text)):
        before, after = "\n".join([f"$ {command}", *shown]), [f"$ {command}", *trimmed(shown, output_of(command))]
        text = text.replace(before, "\n".join(after), 1)
    return text


if __name__ == "__main__":
    RULES_PAGE.write_text(rules_page(), encoding="utf-8")
    REMEDIES_PAGE.write_text(remedies_page(), encoding="utf-8")
    FORMATS_PAGE.write_text(formats(FORMATS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for page in (README, ROOT / "docs" / "start.md", ROOT / "docs" / "pictures.md"):
        page.write_text(readme(page.read_text(encoding="utf-8")), encoding="utf-8")
