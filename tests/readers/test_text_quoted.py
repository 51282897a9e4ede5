"""Logs with other text around them: issues in Markdown, closing summaries, and the output of several processes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, NoLossError
from convergence_cli.pipeline import read_paths
from convergence_cli.readers import text
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers._text_rewrite import reworded
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run


def runs(content: str | bytes) -> list[Run]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "issue.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return text.read([Source(path, path.name)], ReadOptions())


def series(content: str) -> dict[str, list[tuple[float, float]]]:
    (run,) = runs(content)
    return {curve.name: list(zip(curve.step.tolist(), curve.value.tolist(), strict=True)) for curve in run.curves}


LINES = "".join(f"Epoch {e}/10, loss: 2.{9 - e}, val_loss: 2.5\n" for e in range(1, 6))
ISSUE = f"""\
## Describe the bug
I train with lr=0.01 and the loss: 2.3 does not move. PyTorch 2.1, CUDA 11.8, step 5 of the manual.

```bash
{LINES}```

**Expected**: loss: 0.5 after epoch 3, as in the paper (val_loss: 0.4).

| version | loss |
|---------|------|
| 1.0     | 0.5  |
"""


@pytest.mark.parametrize("quote", ["", "> "])
def test_an_issue_is_read_inside_of_its_quotations_only(quote: str) -> None:
    content = "".join(f"{quote}{line}\n" for line in ISSUE.split("\n"))
    assert series(content) == {
        "loss": [(e, round(2.9 - e / 10, 1)) for e in range(1, 6)],
        "val_loss": [(e, 2.5) for e in range(1, 6)],
    }


def test_a_table_in_an_issue_counts() -> None:
    table = "| epoch | train loss | val loss |\n|------:|---:|---:|\n| 6 | 0.5 | 0.6 |\n| 7 | 0.4 | 0.5 |\n"
    found = series(ISSUE + table + "\nThe loss: 9.9 was not that.\n")
    assert found["train loss"] == [(6, 0.5), (7, 0.4)]
    assert found["val loss"] == [(6, 0.6), (7, 0.5)]


def test_a_chronicle_with_the_newest_piece_first_holds_several_runs() -> None:
    pieces = [
        "".join(f"step {step} | loss {9 - step / 1000:.2f}\n" for step in range(first, first + 500, 100))
        for first in (3000, 2000, 1000)
    ]
    found = runs("".join(f"## Day {9 - day}\nloss: 5 again\n```\n{piece}```\n" for day, piece in enumerate(pieces)))
    assert [run.curves[0].step.tolist()[0] for run in found] == [3000, 2000, 1000]
    assert all(len(run.curves[0].value) == 5 and not run.curves[0].restarts for run in found)


def test_samples_with_code_do_not_hide_a_log() -> None:
    sample = "```python\nreturn x\n```\n"
    content = "".join(f"step {step} loss {2 - step / 10:.1f}\n{sample if step == 4 else ''}" for step in range(9))
    assert [value for _, value in series(content)["loss"]] == [round(2 - step / 10, 1) for step in range(9)]


WANDB = """\
wandb: WARNING Saving files without folders.
wandb:
wandb: Run history:
wandb:     batch/train_loss ██▆▆▆▅
wandb:       epoch/dev_loss █▅▄▃▂▂
wandb:
wandb: Run summary:
wandb:     batch/train_loss 0.41334
wandb:                epoch 20
wandb:           train/loss 10.66421
wandb: 🚀 View run winter-waterfall-8 at: https://wandb.ai/x/y/runs/abc
"""


@pytest.mark.parametrize("mark", ["wandb: ", "# wandb: ", ""])
def test_the_last_words_of_wandb_are_no_points(mark: str) -> None:
    tail = WANDB.replace("wandb:\n", "wandb: \n").replace("wandb: ", mark)
    assert series(LINES + tail).keys() == {"loss", "val_loss"}
    with pytest.raises(NoLossError):
        runs(tail)


def test_the_best_round_is_not_read_again() -> None:
    rounds = "".join(f"[{i}]\tvalid's l2: {9 - i}.5\n" for i in range(1, 7))
    for said in ("Early stopping, best iteration is:", "Did not meet early stopping. Best iteration is:"):
        assert len(series(f"{rounds}{said}\n[4]\tvalid's l2: 5.5\n")["valid_l2"]) == 6


def test_an_overflow_gives_the_scale_that_is_left() -> None:
    log = "".join(
        f"step {s} loss 2.{s}\n[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: {2 ** (17 - s)}, "
        f"reducing to {2 ** (16 - s)}\n"
        for s in range(1, 5)
    )
    assert series(log)["loss scale"] == [(s, 2 ** (16 - s)) for s in range(1, 5)]
    apex = "Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 32768.0\n"
    assert series(f"step 1 loss 2\nstep 2 loss 1\n{apex}")["loss scale"] == [(2, 32768)]


@pytest.mark.parametrize("shown", ["0.0000", "0.00", ".000"])
def test_a_rate_below_its_last_digit_is_no_rate_of_zero(shown: str) -> None:
    rounded = "".join(f"step {s} loss 2.{s} lr: {shown}\n" for s in range(1, 8))
    assert series(rounded).keys() == {"loss"}
    assert series(rounded.replace(shown, "0.0"))["lr"] == [(s, 0) for s in range(1, 8)]
    assert series(rounded.replace(shown, "0.000E+00"))["lr"][0] == (1, 0)
    late = "".join(f"step {s} loss 2.5 lr {'0.1000' if s < 4000 else shown}\n" for s in range(6000))
    assert len(series(late)["lr"]) == 4000


def test_places_in_the_source_are_no_series() -> None:
    for before in ("x.trainer:260 - ", "(trainer:732) ", "module.callbacks:143 >> ", "[trainer:12] "):
        log = "".join(f"{before}epoch {e} loss: 2.{e}\n" for e in range(1, 5))
        assert series(log).keys() == {"loss"}


@pytest.mark.parametrize(
    "prefix",
    [
        "[rank{r}]: ",
        "[default{r}]:",
        "[trainer0|{r}]:",
        "(RayTrainWorker pid=123{r}, ip=10.0.0.{r}) ",
        "(train_fn pid=123{r}) ",
        "{r}: ",
        "[1,{r}]<stdout>:",
        "[1,mpirank:{r},algo-1]<stdout>:",
        "",
    ],
)
def test_of_several_processes_the_first_is_read(prefix: str) -> None:
    log = "".join(f"{prefix.format(r=r)}step {s}0 loss {3 - s / 10 + r:.1f}\n" for s in range(1, 9) for r in (0, 1, 2))
    (run,) = runs(log)
    assert [curve.name for curve in run.curves] == ["loss"]
    assert run.curves[0].step.tolist() == [s * 10 for s in range(1, 9)]
    assert run.curves[0].value.tolist() == [round(3 - s / 10, 1) for s in range(1, 9)]
    assert "several processes print the same series: only the first one's is read" in run.notes


def test_batches_of_an_epoch_are_not_processes() -> None:
    log = "".join(f"Epoch {e} loss {3 - e / 10 - b / 100:.2f}\n" for e in range(1, 9) for b in range(3))
    assert len(series(log)["loss"]) == 24
    uneven = "".join(f"step {s} loss 2.{s}{r}\n" for s in range(1, 9) for r in range(1 + s % 2))
    assert len(series(uneven)["loss"]) == 12


@pytest.mark.parametrize(
    "prefix",
    [
        "Jan 01 10:00:0{s} gpu01 python[1234]: ",
        "2024-01-01T10:00:0{s}.123456789Z stdout F ",
        "[pod/train-0/main] ",
        "[2024-01-01T10:00:0{s}+08:00] ",
        "trainer-1  | ",
        "[2024-01-01 10:00:0{s},123][root][INFO] - ",
        "01/01/2024 10:00:0{s} - INFO - ",
        "\x1b[32mINFO\x1b[0m: ",
    ],
)
def test_prefixes_of_collectors(prefix: str) -> None:
    log = "".join(f"{prefix.format(s=s)}step {s},000 loss 1,{s}34.5 lr 0.001\n" for s in range(1, 9))
    assert series(log) == {
        "loss": [(s * 1000, 1034.5 + s * 100) for s in range(1, 9)],
        "lr": [(s * 1000, 0.001) for s in range(1, 9)],
    }


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_rewording_never_fails_on_any_text(line: str) -> None:
    assert isinstance(reworded(line), str)


PIECES = st.sampled_from(
    [
        *("```", "~~~", "> ", "\n", "\r", "nan", "inf", "wandb: ", "Run summary:\n", "train/loss 0.5\n", "\r"),
        *("| epoch | loss |\n", "| 1 | 0.5 |\n", "[epoch=1][batch=2/3]:\n", "[Eval batch=1/3]", "1|2|Loss: 3: 100%|"),
        *(
            "\t Train loss/train/total: 2.5\n",
            "Test: [1/2] Loss 3 (4)\n",
            " * Acc@1 5\n",
            "Averaged stats: loss: 1 (2)\n",
        ),
        *("Early stopping, best iteration is:\n", "***** train metrics *****\n", "  train_loss = 5\n"),
        *("Class Images Instances Box(P R mAP50\n", "all 1 2 0.5 0.6 0.7\n", "epoch train_loss valid_loss dur\n"),
        *("----- ---------- ---------- ---\n", "1 0.5\n", "reducing loss scale to 1e999\n", "Eval begin...\n"),
        *("Epoch(val) [1][2/3] loss: 5\n", "(x pid=1) step 1 loss 2\n", "step 1/2 [=] - loss: 3\n"),
        *("\u2501\u2501 1/2 0:00:01 val_loss: 3 loss: 2\n", "step 1 loss 0.00 lr 0.0000\n"),
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(PIECES, max_size=60).map("".join), st.binary(max_size=20))
def test_nothing_but_our_errors_escapes_from_blocks(words: str, junk: bytes) -> None:
    try:
        found = runs(words.encode() + junk)
    except CtroubleshootError:
        return
    for run in found:
        for curve in run.curves:
            assert len(curve.step) == len(curve.value) > 0


ROWS = [(epoch, 2.0 / epoch, 2.1 / epoch) for epoch in range(1, 13)]
TABLES = {
    "bars": "| epoch | train loss | val loss |\n|---|---|---|\n"
    + "".join(f"| {e} | {a} | {b} |\n" for e, a, b in ROWS),
    "commas": "epoch,train loss,val loss\n" + "".join(f"{e},{a},{b}\n" for e, a, b in ROWS),
    "score": "| epoch | train loss | val loss | acc |\n|---|---|---|---|\n"
    + "".join(f"| {e} | {a} | {b} | 10.5% |\n" for e, a, b in ROWS),
}


@pytest.mark.parametrize("name", ["issue.md", "issue.txt"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("before", ["", "Hello\n\n", "Why, tell me, does it not train??\n\n", "# Results\n\n```\n"])
def test_a_table_is_found_below_whatever_stands_before_it(tmp_path: Path, name: str, table: str, before: str) -> None:
    (tmp_path / name).write_text(before + TABLES[table] + ("```\n" if "```" in before else ""))
    runs, errors = read_paths([str(tmp_path / name)], Settings())
    assert errors == []
    (run,) = runs
    loss = run.curve("train_loss")
    assert loss is not None
    assert loss.value.tolist() == [a for _, a, _ in ROWS]
