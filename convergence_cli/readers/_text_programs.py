"""Which program printed a log, by a line that measures something."""

from __future__ import annotations

import re

# The first pattern that a measuring line matches names its program; the more particular ones come first.
_SIGNS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("megatron", r"\| lm loss|consumed samples:|lm loss value:"),
        ("llama-factory-console", r"llamafactory\."),
        ("axolotl", r"^\s*\{'(?:loss|eval_\w+)'.*'memory/\w+"),
        ("huggingface-console", r"^\s*\{'(?:loss|eval_\w+|train_\w+)'"),
        ("nanogpt", r"^iter \d+: loss |^step \d+: train loss |^step:\d+/\d+ \w+_loss:"),
        ("nanogpt", r"^step +\d+ \| loss: \S+ \| lr:? \S+ \| norm: |^\d+ (?:train|val|hella) \d"),
        ("nanochat", r"^step \d+(?:/\d+)? \(.*\| loss: .*\| lrm: |^Step \d+ \| Validation (?:bpb|loss): |\| lrm: "),
        ("llm.c", r"^s:\d+ (?:trl|tel|eval):|^step +\d+/\d+ \| (?:train )?loss .*\| norm .*ms"),
        ("fairseq", r"\| (?:train_inner|train|valid|test) \| (?:epoch \d+|\{)|\bnum_updates[ =]\d+.*\bgnorm[ =]"),
        ("opennmt", r"\bStep \d+/ *\d+; acc: .*ppl: "),
        ("timm", r"\bTrain: \d+ \[ *\d+/\d+ \( *\d+%\)\] +Loss: .*LR: "),
        ("torchtitan", r"\[titan\]|\bstep: +\d+ +loss: +\S+ +grad_norm: +\S+ +memory: "),
        ("torchtune", r"^\s*\d+\|\d+\|Loss: |^Step \d+ \| (?:\S+:\S+ )*tokens_per_second_per_gpu:"),
        ("mmengine-console", r" - mmengine - |\b(?:Epoch|Iter)\(train\) +\["),
        ("mmcv-console", r" - mm\w+ - INFO - (?:Epoch|Iter) \["),
        ("detectron2-console", r"d2\.utils\.events\]|\beta: .{1,40}\biter: \d+ +total_loss: "),
        ("detectron", r"^json_stats: "),
        ("maskrcnn-benchmark", r"\bmaskrcnn_benchmark\."),
        ("deepspeed", r"\blog_dist\] \[Rank \d+\] step=|^steps: \d+ loss: .*iter time \(s\): "),
        ("lightgbm", r"^\s*\[\d+\]\s+\S+'s \S"),
        ("xgboost", r"^\s*\[\d+\]\s+[\w.]+-[\w@.-]+:\S+"),
        ("maxtext", r"^completed step: \d+, seconds: |\bTFLOP/s/device: "),
        ("mlx", r"^Iter \d+: (?:Train|Val) loss "),
        ("nemo", r"^Training epoch \d+, iteration \d+/\d+ \|"),
        ("composer", r"^\s+(?:Train|Eval) (?:loss/train/|metrics/(?:train|eval)/)"),
        ("paddle", r"\bpp(?:cls|det|ocr)\S* INFO: |\[TRAIN\] epoch: \d+, iter: \d+/\d+, loss: "),
        ("yolox", r"\byolox\."),
        ("torchvision", r"\bEpoch: \[\d+\] +\[ *\d+/\d+\] +eta: "),
        ("clu", r"\blogging_writer\.py:\d+\] \[\d+\] |^\[\d+\] \w+=\S+, "),
        ("lightning-console", r"^(?:Epoch|Training|Sanity)\b.*\bv_num[=:]"),
        ("espnet", r"\b\d+epoch:(?:train|valid):\d+-\d+batch: "),
        ("icefall", r"\btot_loss\[loss="),
        ("speechbrain", r"^epoch: \d+, lr: \S+ - train loss: "),
        ("accelerate", r"^(?:.* - INFO - .* - )?epoch \d+: (?:\{'|perplexity: \S+ eval_loss: )"),
    )
)
_ITERATION = re.compile(r"^\s*Iteration \d+(?: \([^)]*\))?, (?:loss|lr) = ")
# A hostile line would make two gaps in a pattern cost the square of its length.
_LOOKED_AT = 2000
# Wrappers of the Trainer, which prints their measures in its own words: they show in lines that measure nothing.
_BANNERS = (("Unsloth", "unsloth"), ("axolotl", "axolotl"), ("llamafactory", "llama-factory-console"))


def program(text: str, *, glog: bool, banner: str | None = None) -> str | None:
    """The program that printed a measuring line, where its layout tells; ``glog``: behind Caffe's logger.

    ``banner`` is what ``banner_in`` found before.
    """
    text = text[:_LOOKED_AT]
    if _ITERATION.search(text):
        # scikit-learn's perceptron prints the same words, without the logger.
        return "caffe" if glog else None
    found = next((name for name, pattern in _SIGNS if pattern.search(text)), None)
    return banner if banner and found == "huggingface-console" else found


def banner_in(text: str) -> str | None:
    """The program that a line names which measures nothing."""
    return next((name for word, name in _BANNERS if word in text), None)
