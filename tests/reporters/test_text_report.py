"""What the text report leaves out, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from convergence_cli.model import Report, RunError, Skipped
from convergence_cli.reporters import Look, render

if TYPE_CHECKING:
    from convergence_cli.model import RunReport

HINT = "  … more with --verbose"


def lines_of(run: RunReport, **look: int) -> list[str]:
    return render(Report((run,)), "text", Look(**look)).splitlines()


def unfolded(run: RunReport) -> RunReport:
    """``run`` with a likeliest cause that explains its first finding alone."""
    first, *rest = run.causes
    return replace(run, causes=(replace(first, supported_by=(run.findings[0].rule,)), *rest))


def test_nothing_left_out_is_no_hint(diverging: RunReport) -> None:
    assert HINT not in lines_of(unfolded(diverging))


def test_consequences_are_folded_under_the_cause_that_explains_them(diverging: RunReport) -> None:
    worst, other = sorted(diverging.findings, key=lambda one: one.severity)
    cause = replace(diverging.causes[0], probability=0.8, supported_by=(worst.rule, other.rule))
    run = replace(diverging, causes=(cause,))
    shown = "\n".join(lines_of(run))
    assert worst.message[:30] in shown
    assert other.message[:30] not in shown
    assert f"and with {cause.name} goes {other.rule} {other.name}" in shown
    assert HINT in shown
    unsure = replace(run, causes=(replace(cause, probability=0.4),))
    for whole in (lines_of(run, detail=1), lines_of(run, detail=-1), lines_of(unsure)):
        assert other.message[:30] in "\n".join(whole)


def test_a_failing_run_without_a_likely_cause_says_so_and_what_would_tell(diverging: RunReport) -> None:
    unlikely = replace(diverging.causes[0], probability=0.1, would_confirm=("log the gradient norm",))
    shown = " ".join(" ".join(lines_of(replace(diverging, causes=(unlikely,), remedies=()))).split())
    assert f"No cause stands out from what is logged (the nearest: {unlikely.name}, 10 %)." in shown
    assert "would settle it: log the gradient norm" in shown
    assert "No cause stands out from what is logged." in "\n".join(lines_of(replace(diverging, causes=())))


def test_whatever_was_left_out_is_hinted_at_once_and_shown_when_asked_for(diverging: RunReport) -> None:
    finding, cause, remedy = diverging.findings[0], diverging.causes[0], diverging.remedies[0]
    long = "word " * 60 + "zenith"
    for part in (
        {"findings": (replace(finding, message=long),)},
        {"findings": (replace(finding, evidence={**{f"number_{i}": i for i in range(50)}, "zenith": 1}),)},
        {"causes": (replace(cause, explanation=long),)},
        {"causes": (cause, cause, cause, replace(cause, name="zenith"))},
        {"remedies": (replace(remedy, why=long),)},
        {"skipped": (*(Skipped("X", f"needs thing number {i}") for i in range(20)), Skipped("X", "zenith"))},
        {"notes": (*("note",) * 9, "zenith")},
        {"summary": {**diverging.summary, "series": {f"role_{i}": "name" for i in range(30)} | {"zenith": "zenith"}}},
    ):
        run = replace(diverging, **part)
        assert lines_of(run).count(HINT) == 1, part
        assert "zenith" not in "\n".join(lines_of(run)), part
        verbose = lines_of(run, detail=1)
        assert "zenith" in "\n".join(verbose)
        assert not any("…" in line for line in verbose)


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_name_gives_way_to_points_and_steps(diverging: RunReport, width: int) -> None:
    run = replace(diverging, name="outputs/2026-01-01/" + "x" * 90 + "/seed=3/metrics.csv")
    first = lines_of(run, width=width)[0]
    assert first.endswith("/metrics.csv · csv · 1,100 points · steps 0–1,099")
    assert len(first) == width


def test_a_narrow_terminal_shows_everything_of_the_verdict(diverging: RunReport) -> None:
    shown = " ".join(" ".join(lines_of(diverging, width=40)).split())
    for fact in ("1,100 points", "steps 0–1,099", "since step 500", "best at step 400", "from LC001, LR001"):
        assert fact in shown


@pytest.mark.parametrize("counted_in", ["step", "epoch", "row"])
def test_a_run_is_counted_in_what_its_log_counts(diverging: RunReport, counted_in: str) -> None:
    run = replace(unfolded(diverging), summary={**diverging.summary, "x": counted_in})
    shown = "\n".join(lines_of(run))
    for text in (
        f"{counted_in}s 0–1,099",
        f"since {counted_in} 500 · best at {counted_in} 400",
        f"lr, {counted_in} 400",
    ):
        assert text in shown


def test_a_curve_that_ends_in_nan_says_so(diverging: RunReport, healthy: RunReport) -> None:
    assert any(line.strip().startswith("2.3 → 400, then not finite (") for line in lines_of(diverging))
    assert not any("not finite" in line for line in lines_of(healthy))


def table_of(runs: tuple[RunReport, ...], **look: int) -> list[str]:
    """The lines on ``runs`` below the head of the table."""
    return render(Report(runs), "text", Look(**look)).split("\n\n")[0].splitlines()[1:]


def test_names_that_differ_in_the_middle_stay_different_in_the_table(healthy: RunReport) -> None:
    runs = tuple(
        replace(healthy, name=f"runs/2026-01-{day:02}/version_0/metrics-of-training.csv", path=str(day))
        for day in (1, 2)
    )
    lines = table_of(runs)
    assert len({line.split()[0] for line in lines}) == 2
    assert all(line.split()[1:4] == ["converging", "94", "%"] and len(line) <= 80 for line in lines)


def test_a_run_with_something_wrong_has_a_second_line(healthy: RunReport, diverging: RunReport) -> None:
    runs = (replace(healthy, name="a.csv"), replace(diverging, name="b.csv"))
    shown = render(Report(runs), "text").split("\n\n", maxsplit=1)[0].splitlines()
    assert [line.split()[0] for line in shown] == ["run", "a.csv", "b.csv", "non-finite"]
    assert "learning_rate: 0.3 → 0.025" in shown[3]
    assert all(len(line) <= 80 for line in shown)


def test_names_no_table_can_tell_apart_leave_room_for_the_verdict(healthy: RunReport) -> None:
    runs = tuple(replace(healthy, name="x" * 80 + mark + "y" * 80, path=mark) for mark in "ab")
    assert all(" converging    94 % " in line and len(line) <= 80 for line in table_of(runs))


def test_runs_of_one_name_go_by_their_folders(healthy: RunReport) -> None:
    runs = tuple(replace(healthy, name="log.csv", path=f"runs/{seed}/log.csv") for seed in ("a", "b"))
    assert [line.split()[0] for line in table_of(runs)] == ["a", "b"]


def test_what_was_read_and_holds_nothing_to_judge_is_not_called_unread(healthy: RunReport) -> None:
    errors = (RunError(healthy.path, "No loss.", "Name it."), RunError("gone.csv", "Gone.", None))
    shown = render(Report((healthy,), errors), "text")
    assert "Not read\n  Gone.\n\nNot judged\n  No loss.\n    Name it.\n" in shown
    assert shown.endswith("; 1 input not read; 1 run not judged\n")
    shown = render(Report((healthy,), errors), "markdown")
    assert "**Not read**\n\n- Gone.\n\n**Not judged**\n\n- No loss. Name it.\n" in shown
    lines = render(Report((healthy,), errors), "github").splitlines()
    assert ["title=not read::" in lines[0], "title=not judged::" in lines[1]] == [True, True]


def test_a_narrow_terminal_keeps_the_numbers(healthy: RunReport, diverging: RunReport) -> None:
    summary = {**healthy.summary, "best": {"series": "val_loss", "role": "val_loss", "value": 0.1234, "step": 5}}
    runs = tuple(replace(healthy, name=f"runs/{name}/log.csv", summary=summary) for name in ("a", "b"))
    for line, name in zip(
        table_of((*runs, replace(diverging, name="runs/c/log.csv")), width=40)[:2], "ab", strict=True
    ):
        assert line.split() == [f"runs/{name}", "converging", "0.1234"]
        assert len(line) <= 40
