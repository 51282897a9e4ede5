"""What training programs print line by line, in the layouts of their sources: the program, the steps and the roles."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.readers import text
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.roles import assign_roles

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run


def runs(content: str) -> list[Run]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.log"
        path.write_text(content, encoding="utf-8", newline="")
        source = Source(path, path.name)
        assert text.sniff(source) >= 0.3
        return [assign_roles(run) for run in text.read([source], ReadOptions())]


def one(content: str) -> dict[str, Curve]:
    (run,) = runs(content)
    return {curve.name: curve for curve in run.curves}


def points(curve: Curve) -> list[tuple[float, float]]:
    return list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


@pytest.mark.parametrize(
    ("program", "lines", "expected"),
    [
        (
            "torchtitan",
            "[rank0]:[titan] 2025-01-01 10:00:10,123 - root - INFO - \x1b[31mstep: {s}0  \x1b[32mloss: {v}  "
            "\x1b[38;2;180;60;0mgrad_norm:  1.4000  \x1b[38;2;54;234;195mmemory: 12.34GiB(12.99%)  \x1b[34mtps: 1,234  "
            "\x1b[36mtflops: 1,012.34  \x1b[35mmfu: 43.21%\x1b[0m\n"
            "[rank0]:[titan] 2025-01-01 10:00:10,123 - root - INFO - \x1b[33mvalidate step: {s}0  \x1b[32mloss: {w}  "
            "\x1b[34mtps: 1,234\x1b[0m\n",
            {"loss": 10, "grad_norm": 10, "val_loss": 10},
        ),
        ("torchtune", "1|{s}|Loss: {v}: 100%|███| {s}/20 [00:10<00:10,  1.0s/it]\n", {"loss": 1}),
        (
            "torchtune",
            "Step {s} | loss:{v} lr:2e-05 tokens_per_second_per_gpu:1234.5 grad_norm:1.5 \n",
            {"loss": 1, "lr": 1, "grad_norm": 1},
        ),
        (
            "maxtext",
            "completed step: {s}, seconds: 2.345, TFLOP/s/device: 100.123, Tokens/s/device: 1000.123, loss: {v}\n"
            "eval metrics after step: {s}, loss={w}, total_weights=65536.0\n",
            {"loss": 1, "eval_loss": 1, "eval_total_weights": 1},
        ),
        (
            "maxtext",
            "[20260929 19:48:42][rank-0/1][INFO]     completed step: {s}, seconds: 1.150, TFLOP/s/device: 470.000, "
            "loss: {v}\n[20260929 19:48:42][rank-0/1][INFO]     Completed eval after train step {s}, loss={w}\n",
            {"loss": 1, "eval_loss": 1},
        ),
        (
            "nemo",
            "Training epoch 0, iteration {s}/99 | lr: 1.5e-05 | global_step: {s} | reduced_train_loss: {v} | "
            "train_step_timing in s: 1.234\n",
            {"lr": 1, "reduced_train_loss": 1, "train_step_timing_in_s": 1},
        ),
        (
            "mlx",
            "Iter {s}0: Train loss {v}, Learning Rate 1.000e-05, It/sec 0.5, Tokens/sec 200.1, Trained Tokens 300, "
            "Peak mem 10.123 GB\nIter {s}0: Val loss {w}, Val took 25.3s\n",
            {"train_loss": 10, "learning rate": 10, "val_loss": 10},
        ),
        (
            "nanochat",
            "step 0000{s}/21400 (0.05%) | loss: {v} | grad norm: 1.5 | lrm: 1.00 | dt: 300ms | tok/sec: 1,234,567\n",
            {"loss": 1, "grad norm": 1, "lrm": 1},
        ),
        (
            "nanochat",
            "Step 0000{s}/00700 | Training loss: {v}| lrm: 1.000000| num_tokens: 10,000\n"
            "Step 0000{s} | Validation loss: {w}\n",
            {"train_loss": 1, "train_num_tokens": 1, "val_loss": 1},
        ),
        (
            "nanogpt",
            "step     {s} | loss: {v} | lr 4.1958e-06 | norm: 30.1234 | dt: 300.12ms | tok/sec: 1000.12\n",
            {"loss": 1, "lr": 1, "norm": 1},
        ),
        ("nanogpt", "{s} train {v}\n{s} val {w}\n", {"train_loss": 1, "val_loss": 1}),
        ("llm.c", "s:{s} tel:{w}\ns:{s} trl:{v} lr:0.000600 norm:0.31\n", {"val_loss": 1, "train_loss": 1, "lr": 1}),
        (
            "detectron2-console",
            "[01/01 12:00:10 d2.utils.events]:  eta: 1 day, 2:10:00  iter: {s}  total_loss: {v}  loss_cls: 1.2  "
            "time: 0.3012  data_time: 0.01  lr: 1e-05  max_mem: 3000M\n",
            {"total_loss": 1, "loss_cls": 1, "lr": 1},
        ),
        (
            "detectron",
            'json_stats: {{"eta": "1 day, 10:00:00", "iter": {s}, "loss": {v}, "loss_bbox": 0.1, "lr": 0.0025, '
            '"mem": 3000, "time": 0.5}}\n',
            {"loss": 1, "loss_bbox": 1, "lr": 1},
        ),
        (
            "megatron",
            "[default7]: iteration        {s}/     500 | consumed samples:          128 | lm loss: {v}E+00 | "
            "number of nan iterations:   0 |\n"
            " validation loss at iteration {s} on validation set | lm loss value: {w}E+00 | lm loss PPL: 5.9E+04 | \n",
            {"consumed samples": 1, "lm loss": 1, "number of nan iterations": 1, "val_lm_loss_value": 1},
        ),
        (
            "deepspeed",
            "steps: {s} loss: {v} iter time (s): 1.234 samples/sec: 12.345\n"
            "[2023-01-01 12:00:00,010] [INFO] [logging.py:96:log_dist] [Rank 0] step={s}, skipped=0, "
            "lr=[1e-05], mom=[(0.9, 0.999)]\n",
            {"loss": 1, "lr": 1, "skipped": 1},
        ),
        (
            "clu",
            "I1118 12:00:10.123456 140000123456 logging_writer.py:48] [{s}00] accuracy=0.5, loss={v}, "
            "steps_per_second=10.1\n",
            {"accuracy": 100, "loss": 100},
        ),
        (
            "paddle",
            "2021-01-01 12:00:00 [INFO]\t[TRAIN] epoch: 1, iter: {s}/1000, loss: {v}, lr: 0.009991, batch_cost: 0.2, "
            "reader_cost: 0.01, ips: 10.1 samples/sec | ETA 00:10:00\n",
            {"train_loss": 1, "lr": 1},
        ),
        (
            "yolox",
            "2021-08-01 10:00:00 | INFO     | yolox.core.trainer:260 - epoch: 1/300, iter: {s}/1000, mem: 3000Mb, "
            "iter_time: 0.5s, data_time: 0.01s, total_loss: {v}, iou_loss: 4.1, lr: 1.0e-5, size: 640, ETA: 1 day\n",
            {"total_loss": 1, "iou_loss": 1, "lr": 1, "size": 1},
        ),
        (
            "espnet",
            "[h] 2022-05-01 10:00:00,123 (trainer:732) INFO: 1epoch:train:1-{s}batch: iter_time=1e-4, loss_ctc=100.1, "
            "loss={v}, train_time=1.2\n",
            {"train_loss_ctc": 1, "train_loss": 1},
        ),
        ("lightgbm", "[{s}]\tvalid's multi_logloss: {v}\n", {"valid_multi_logloss": 1}),
        ("xgboost", "[{s}]\ttrain-mlogloss:{v}\teval-mlogloss:{w}\n", {"train-mlogloss": 1, "eval-mlogloss": 1}),
    ],
)
def test_lines_that_name_their_step(program: str, lines: str, expected: dict[str, int]) -> None:
    """``expected``: series -> how much its steps grow from line to line; ``{v}`` is the one, ``{w}`` the other."""
    log = "".join(lines.format(s=s, v=f"{9 - s}.25", w=f"{9 - s}.75") for s in range(1, 8))
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == program
    assert expected.keys() <= curves.keys()
    assert not any(curve.restarts for curve in run.curves)
    for name, stride in expected.items():
        assert curves[name].step.tolist() == [s * stride for s in range(1, 8)], name
    train, val = run.curve("train_loss"), run.curve("val_loss")
    measured = train or val
    assert measured is not None
    assert measured.value.tolist() == [9.25 - s for s in range(1, 8)]
    if train is not None and val is not None:
        assert val.value.tolist() == [9.75 - s for s in range(1, 8)]


@pytest.mark.parametrize(
    ("program", "before", "dictionary"),
    [
        ("huggingface-console", "", "{{'loss': {v}, 'grad_norm': 1.5, 'learning_rate': 2e-05, 'epoch': {e}}}"),
        (
            "axolotl",
            "",
            "{{'loss': '{v}', 'grad_norm': '1.5', 'learning_rate': '2e-05', 'memory/max_active (GiB)': '5.66', "
            "'tokens/train_per_sec_per_gpu': '1234', 'epoch': '{e}'}}",
        ),
        (
            "llama-factory-console",
            "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:143 >> ",
            "{{'loss': {v}, 'learning_rate': 2e-05, 'epoch': {e}, 'throughput': 1234.5}}",
        ),
        (
            "unsloth",
            "",
            "==((====))==  Unsloth - 2x faster free finetuning | Num GPUs used = 1\n"
            "   \\\\   /|    Num examples = 210,289 | Num Epochs = 1 | Total steps = 60\n"
            "{{'loss': {v}, 'grad_norm': 1.5, 'learning_rate': 2e-05, 'epoch': {e}}}",
        ),
    ],
)
def test_programs_around_the_trainer(program: str, before: str, dictionary: str) -> None:
    log = "".join(before + dictionary.format(v=f"{2.5 - e / 10:.2f}", e=f"0.{e}") + "\n" for e in range(1, 8))
    log += "{'eval_loss': 1.25, 'eval_runtime': 10.5, 'epoch': 0.7}\n"
    log += "{'train_runtime': 100.1, 'train_samples_per_second': 10.1, 'train_loss': 7.7, 'epoch': 0.7}\n"
    log += "***** train metrics *****\n  epoch                    =        0.7\n  train_loss               =     7.7\n"
    (run,) = runs(log)
    assert run.format == program
    curves = {curve.name: curve for curve in run.curves}
    assert points(curves["loss"]) == [(e / 10, round(2.5 - e / 10, 2)) for e in range(1, 8)]
    assert points(curves["eval_loss"]) == [(0.7, 1.25)]
    assert curves.keys() <= {"loss", "grad_norm", "learning_rate", "eval_loss"}


@pytest.mark.parametrize("prefix", ["", "01/01/2023 10:00:00 - INFO - __main__ - "])
def test_accelerate_examples_print_what_they_evaluated(prefix: str) -> None:
    log = "".join(f"{prefix}epoch {e}: {{'accuracy': 0.{e + 5}, 'f1': 0.{e + 4}}}\n" for e in range(4))
    (run,) = runs(log)
    assert run.format == "accelerate"
    assert {curve.name: curve.role for curve in run.curves} == {
        "eval_accuracy": "val_accuracy",
        "eval_f1": "val_metric",
    }
    log = "".join(f"{prefix}epoch {e}: perplexity: {30 - e}.5 eval_loss: 3.{9 - e}\n" for e in range(4))
    (run,) = runs(log)
    assert run.curve("train_loss") is None
    val = run.curve("val_loss")
    assert val is not None
    assert points(val) == [(0, 3.9), (1, 3.8), (2, 3.7), (3, 3.6)]


def test_opennmt_has_the_cross_entropy_of_validation() -> None:
    log = "".join(
        f"[2023-02-01 10:00:00,000 INFO] Step {s}/ 1000; acc: 3.5; ppl: 5000.5; xent: {9 - s / 100:.2f}; lr: 0.00012; "
        f"sents:    6400; bsz:  900/ 800/64; 16245/16274 tok/s;     12 sec;\n"
        + (f"[2023-02-01 10:00:00,000 INFO] Validation perplexity: {3000 - s}\n" if s % 100 == 0 else "")
        for s in range(50, 350, 50)
    )
    (run,) = runs(log)
    val = run.curve("val_loss")
    assert run.format == "opennmt"
    assert val is not None
    assert points(val) == [(s, pytest.approx(math.log(3000 - s))) for s in (100, 200, 300)]
    assert "val_xent is the logarithm of val_perplexity, which stands in the log" in run.notes


def test_yolo_tables_and_scores() -> None:
    new = "\n      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
    old = "\n     Epoch   gpu_mem       box       obj       cls     total    labels  img_size\n"
    scores = "     Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|███| 2/2 [00:01]\n"
    before = "               Class     Images     Labels          P          R     mAP@.5 mAP@.5:.95: 100%|██| 4/4\n"
    log = "".join(
        f"{new}        {e}/3         0G      1.{9 - e}      3.2      1.3         19        640: 100%|██| 9/9 [00:01]\n"
        f"{scores}                   all          4         17      0.5{e}      0.6      0.7      0.4\n"
        for e in (1, 2, 3)
    )
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "ultralytics-console"
    assert points(curves["box_loss"]) == [(1, 1.8), (2, 1.7), (3, 1.6)]
    assert points(curves["val_precision"]) == [(1, 0.51), (2, 0.52), (3, 0.53)]
    assert {"val_recall", "val_map50", "val_map50-95"} <= curves.keys()
    log = "".join(
        f"{old}     {e}/2     3.1G   0.0522   0.0411   0.01111    0.{9 - e}        22       640: 100%|██| 8/8 [00:01]\n"
        f"{before}                 all        128        929      0.64      0.53      0.605     0.383\n"
        for e in range(3)
    )
    curves = one(log)
    assert points(curves["total_loss"]) == [(0, 0.9), (1, 0.8), (2, 0.7)]
    assert curves["total_loss"].role == "train_loss"
    assert not {name for name in curves if "map@.5 map" in name.lower()}


def test_columns_that_are_empty_in_some_rows() -> None:
    log = (
        "  epoch    train_loss    valid_acc    valid_loss    cp     dur\n"
        "-------  ------------  -----------  ------------  ----  ------\n"
        "      1        \x1b[36m2.3000\x1b[0m       0.2333        2.2562     +  0.0059\n"
        "      2        2.2289       0.2333        2.2098        0.0053\n"
        "      3        2.1666       0.3333                      0.0054\n"
    )
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "skorch"
    assert points(curves["train_loss"]) == [(1, 2.3), (2, 2.2289), (3, 2.1666)]
    assert points(curves["valid_loss"]) == [(1, 2.2562), (2, 2.2098)]


def test_paddle_says_above_a_bar_what_it_evaluates() -> None:
    log = "".join(
        f"Epoch {e}/2\n"
        + "".join(f"step {i}/938 [===>....] - loss: {3 - e - i / 1000:.3f} - acc: 0.1 - 10ms/step\n" for i in (10, 938))
        + f"Eval begin...\nstep 157/157 [======] - loss: 0.{9 - e} - acc: 0.9 - 9ms/step\nEval samples: 10000\n"
        for e in (1, 2)
    )
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "paddle"
    assert points(curves["loss"]) == [(1, 1.062), (2, 0.062)]
    assert points(curves["eval_loss"]) == [(1, 0.8), (2, 0.7)]


def test_catboost_rates_are_not_of_lightning() -> None:
    rounds = "".join(f"{i}:\tlearn: 0.{68 - i}\ttest: 0.{69 - i}\tbest: 0.6 ({i})\ttotal: 1ms\n" for i in range(5))
    (run,) = runs(f"Learning rate set to 0.05\n{rounds}")
    assert dict(run.config) == {"learning_rate": 0.05}
