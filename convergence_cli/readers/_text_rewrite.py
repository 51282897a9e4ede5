"""Lines of known programs put into words that the general reading understands, and lines that measure nothing.

Only what the general reading would take for something else is here. Each layout has a mark, a text that is looked
for before its pattern is tried; formats are those of the programs' sources.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_VALUE = r"-?\d+\.\d+(?:e[-+]?\d+)?|nan|-?inf"


class _Layout(NamedTuple):
    """``instead`` replaces what ``find`` finds; where it is None the whole line measures nothing."""

    mark: str
    find: Callable[[str], re.Match[str] | None]
    instead: str | None


def _layout(mark: str, pattern: str, instead: str | None) -> _Layout:
    compiled = re.compile(pattern)
    return _Layout(mark, compiled.match if pattern.startswith("^") else compiled.search, instead)


_LAYOUTS = (
    # W&B's last words: a summary without steps, and curves as eight block characters.
    _layout("wandb: ", r"^\W{0,3}wandb: ", None),
    # The closing summary of the Trainer: a mean over the run.
    _layout("'train_runtime'", r"^\W{0,20}\{.{0,400}'train_runtime'", None),
    _layout("fairseq.checkpoint_utils", r"\| fairseq\.checkpoint_utils \|", None),
    # The mean over an epoch beside the norms of its steps.
    _layout("| train | epoch ", r"(\| train \| epoch [^\n]{1,600}?)\| gnorm ", r"\1| train_gnorm "),
    # MMEngine, MMCV: evaluations count their own batches. "Epoch(val) [3][100/100]", "Iter(val) [500]".
    _layout("(val)", r"\bEpoch\(val\)\s*\[\s*(\d+)\]\s*\[\s*\d+(?:/\d+)?\]", r"Epoch \1 val: "),
    _layout("(val)", r"\bIter\(val\)\s*\[\s*\d+(?:/\d+)?\]", "val: "),
    _layout("(test)", r"\b(?:Epoch|Iter)\(test\)\s*(?:\[\s*\d+\]\s*)?\[\s*\d+(?:/\d+)?\]", "test: "),
    # PaddleClas: "[Train][Epoch 1/2][Iter: 0/10]lr(Cosine): ..., CELoss: ..." and averages over an epoch.
    _layout(
        "][Iter: ", r"\[Train\]\[Epoch (\d+)(?:/\d+)?\]\[Iter: (\d+)\s*/\s*(\d+)\] ?", r"Train epoch \1 iter \2/\3 "
    ),
    _layout("][Iter: ", r"\[(?:Eval|Test)\]\[Epoch \d+(?:/\d+)?\]\[Iter: ", None),
    _layout("][Avg]", r"\[Train\]\[Epoch \d+(?:/\d+)?\]\[Avg\]", None),
    _layout("][Avg]", r"\[Eval\]\[Epoch (\d+)(?:/\d+)?\]\[Avg\]", r"Eval epoch \1: "),
    _layout("[best metric", r"\]\[best metric: ", None),
    # PaddleOCR
    _layout("cur metric, ", r"\bcur metric, ", "eval: "),
    _layout("best metric, ", r"\bbest metric, ", None),
    # torchtune: "1|20|Loss: 1.23: 100%|███| 20/20 [...]": epoch, step.
    _layout("|Loss: ", r"^\s*(\d+)\|(\d+)\|Loss: ", r"epoch \1 step \2 Loss: "),
    # Accelerate's examples print what they evaluated after each epoch.
    _layout("epoch ", r"\bepoch (\d+): (?=\{'(?!loss|train))(?!.{0,400}'(?:train_)?loss')", r"epoch \1 eval: "),
    _layout(" eval_loss: ", r"\bepoch (\d+): (?=perplexity: )", r"epoch \1 eval: "),
    _layout("eval after train step", r"\bCompleted eval after train step ", "eval step "),  # MaxText
    # Swin and its descendants: "Train: [0/300][10/1251]".
    _layout("][", r"\b(Train|Test|Val|Valid|Eval): \[(\d+)/\d+\]\s*\[\s*(\d+)/(\d+)\]", r"\1: \2 [\3/\4]"),
    _layout("Max accuracy: ", r"(?:^|INFO )Max accuracy: [\d.]{1,20}%?\s*$", None),
    # llm.c's main.log: "s:10 trl:3.91 lr:0.0006 norm:0.31", "s:10 tel:3.95", "s:10 eval:0.26".
    _layout(" trl:", r"^s:(\d+) trl:(\S+) lr:(\S+) norm:", r"step:\1 train_loss:\2 lr:\3 grad_norm:"),
    _layout(" trl:", r"^s:(\d+) trl:", r"step:\1 train_loss:"),
    _layout(" tel:", r"^s:(\d+) tel:", r"step:\1 val_loss:"),
    _layout(" eval:", r"^s:(\d+) eval:", r"step:\1 val_accuracy:"),
    # build-nanogpt's log.txt: "250 val 5.9", "250 train 5.87", "250 hella 0.2512".
    _layout(" train ", rf"^(\d{{1,9}}) train ({_VALUE})$", r"step \1 train_loss \2"),
    _layout(" val ", rf"^(\d{{1,9}}) val ({_VALUE})$", r"step \1 val_loss \2"),
    _layout(" hella ", rf"^(\d{{1,9}}) hella ({_VALUE})$", r"step \1 val_accuracy \2"),
    # Composer: "\t Train loss/train/total: 2.1", under a line that gives the batch.
    _layout("/", r"^\s{1,9}(?:Train|Eval) (?=(?:(?:loss|metrics|l2_norm)/|lr-)[\w./-]{1,120}: )", ""),
    # ESPnet: "3epoch:train:101-200batch: ... loss=71.2", "3epoch results: [train] ..., [valid] ...".
    _layout("epoch:", r"\b(\d+)epoch:(train|valid):\d+-(\d+)batch:", r"epoch \1 \2 batch \3:"),
    _layout("epoch results: ", r"\b(\d+)epoch results: ", r"epoch \1 results: "),
    # icefall: "(0/4) Epoch 1, batch 50": rank and number of processes.
    _layout("] (", r"\] \(\d+/\d+\) (?=Epoch)", "] "),
)
_STAR = re.compile(r"^\s*\*\s{1,9}(?=\w)|\bINFO\s{1,9}\*\s{1,9}(?=\w)")
_AVERAGED = re.compile(r"\bAveraged stats: ")


def reworded(text: str) -> str:
    """``text`` in words of the general reading; empty where it measures nothing."""
    for mark, find, instead in _LAYOUTS:
        if mark in text:
            found = find(text)
            if found is not None:
                return "" if instead is None else text[: found.start()] + found.expand(instead) + text[found.end() :]
    return text


def closes_evaluation(text: str) -> int | None:
    """Where the results begin on a line that sums up the lines before it, as `` * Acc@1 70.1`` does; else None."""
    if "*" in text[:120]:
        found = _STAR.search(text[:200])
    elif "Averaged stats: " in text:
        found = _AVERAGED.search(text)
    else:
        return None
    return None if found is None else found.end()
