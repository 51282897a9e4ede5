"""Logs as the programs print them, written here in their documented layouts."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, NoLossError, SettingsError
from convergence_cli.readers import text
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Curve, Run

_FOLDER = tempfile.TemporaryDirectory()


@pytest.fixture(scope="module", autouse=True)
def _folder() -> Iterator[None]:
    yield
    _FOLDER.cleanup()


def source(content: str | bytes, name: str = "train.log") -> Source:
    data = content.encode() if isinstance(content, str) else content
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return Source(path, name)


def runs(content: str | bytes, pattern: str | None = None) -> list[Run]:
    return text.read([source(content)], ReadOptions(pattern))


def one(content: str | bytes, pattern: str | None = None) -> dict[str, Curve]:
    (run,) = runs(content, pattern)
    return {curve.name: curve for curve in run.curves}


def points(curve: Curve) -> list[tuple[float, float]]:
    return list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


NANOGPT = """\
Overriding: batch_size = 12
tokens per iteration will be: 16,384
found vocab_size = 65 (inside data/shakespeare_char/meta.pkl)
number of parameters: 10.65M
num decayed parameter tensors: 26, with 10,740,096 parameters
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2649, time 37010.32ms, mfu -100.00%
iter 10: loss 3.1461, time 19.34ms, mfu 19.27%
step 250: train loss 1.9612, val loss 2.0625
iter 250: loss 1.9880, time 3521.20ms, mfu 17.36%
"""


def test_nanogpt() -> None:
    curves = one(NANOGPT)
    assert points(curves["loss"]) == [(0, 4.2649), (10, 3.1461), (250, 1.988)]
    assert points(curves["train_loss"]) == [(0, 4.2874), (250, 1.9612)]
    assert points(curves["val_loss"]) == [(0, 4.2823), (250, 2.0625)]
    assert curves["loss"].line is not None
    assert curves["loss"].line.tolist() == [7, 8, 10]
    assert set(curves) == {"loss", "train_loss", "val_loss"}
    assert runs(NANOGPT)[0].format == "nanogpt"
    assert runs(NANOGPT)[0].config["batch_size"] == 12


SOURCE_FIRST = """\
import os
import torch
val_loss_every = 125 # how often to look
class Model(nn.Module):
    def forward(self, x):
        loss = 0.0
        val_loss = 0
        print(f"step:{step}/{n} val_loss:{val_loss:.4f} lr:{0.5}")
        return loss
for step in range(10):
    loss = model(x)
    if step == 5: loss = 12.0
====================================================================================================
Running PyTorch 2.9.0+cu128 compiled for CUDA 12.8
+-----------------------------------------------------------------------------------------+
| N/A   34C    P0            147W /  700W |    5112MiB /  81559MiB |      5%      Default |
+-----------------------------------------------------------------------------------------+
step:0/30 val_loss:10.82 train_time:0.000s step_avg:nanms
step:1/30 train_loss:10.80 train_time:3.0s step_avg:nanms
step:2/30 train_loss:9.5 train_time:4.0s step_avg:288.1ms
step:3/30 train_time:5.0s step_avg:288.1ms
step:10/30 val_loss:6.1 train_time:4.0s step_avg:288.1ms
target_reached step:10 val_loss:6.1
"""


def test_printed_source_and_tables_are_not_data() -> None:
    curves = one(SOURCE_FIRST)
    assert set(curves) == {"val_loss", "train_loss"}
    assert points(curves["val_loss"]) == [(0, 10.82), (10, 6.1)]
    assert points(curves["train_loss"]) == [(1, 10.8), (2, 9.5)]


def test_a_source_longer_than_the_head_leaves_the_answer_to_read() -> None:
    code = "def f(x):\n    return self.g(x)\n" * 3000
    log = "".join(f"step:{i}/100 val_loss:{9 - i / 100:.3f}\n" for i in range(5))
    assert text.sniff(source(code + log)) == 0.15
    assert len(one(code + log)["val_loss"].value) == 5
    with pytest.raises(NoLossError, match="no line that names a loss"):
        runs(code)


@pytest.mark.parametrize("separator", ["trial:{}/3 seed:7\n", ""])
def test_several_runs_in_one_file_are_split(separator: str) -> None:
    content = "".join(
        separator.format(trial)
        + "".join(f"step:{step}/300 val_loss:{10.8 / (1 + step):.4f}\n" for step in range(0, 301, 50))
        for trial in (1, 2, 3)
    )
    found = runs(content)
    assert [run.name for run in found] == ["train", "train#2", "train#3"]
    assert all(len(run.curves[0].value) == 7 and not run.curves[0].restarts for run in found)
    assert "the file holds 3 runs; this is number 2" in found[1].notes


def test_a_resume_is_a_restart_of_the_same_run() -> None:
    steps = [*range(0, 500, 10), *range(400, 600, 10)]
    content = "".join(f"step {step} loss {5 / (1 + step / 100):.4f}\n" for step in steps)
    (run,) = runs(content.replace("step 400", "Starting training\nstep 400"))
    assert run.curves[0].restarts == (50,)


def test_a_flat_loss_that_starts_again_without_a_header_is_not_split() -> None:
    once = "".join(f"step {step} loss 6.908\n" for step in range(0, 100, 10))
    (run,) = runs(once * 2)
    assert run.curves[0].restarts == (10,)


MEGATRON = (
    " iteration       10/    1000 | consumed samples:           40 | elapsed time per iteration (ms): 930.1 |"
    " learning rate: 0.000E+00 | global batch size:     4 | loss scale: 65536.0 |"
    " number of skipped iterations:  10 | number of nan iterations:   0 |\n"
    " iteration       20/    1000 | consumed samples:           80 | elapsed time per iteration (ms): 930.1 |"
    " learning rate: 3.750E-05 | global batch size:     4 | lm loss: 1.249319E+01 | loss scale: 32768.0 |"
    " grad norm: nan | number of skipped iterations:   8 | number of nan iterations:   0 |\n"
    "--------------------------------------------------\n"
    " validation loss at iteration 20 | lm loss value: 1.1E+01 | lm loss PPL: 5.9E+04 | \n"
    "--------------------------------------------------\n"
)


def test_megatron() -> None:
    (run,) = runs(MEGATRON)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "megatron"
    assert points(curves["lm loss"]) == [(20, 12.49319)]
    assert points(curves["learning rate"]) == [(10, 0.0), (20, 3.75e-5)]
    assert points(curves["loss scale"]) == [(10, 65536.0), (20, 32768.0)]
    assert points(curves["number of nan iterations"]) == [(10, 0), (20, 0)]
    assert math.isnan(curves["grad norm"].value[0])
    assert points(curves["val_lm_loss_value"]) == [(20, 11.0)]


CAFFE = """\
I0124 14:28:18.888176 29877 caffe.cpp:184] Using GPUs 0
I0124 14:28:19.009981 29877 solver.cpp:47] Initializing solver from parameters:
test_interval: 1000
base_lr: 0.01
average_loss: 20
lr_policy: "step"
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  loss_weight: 1
}
I0124 14:28:20.000104 29877 solver.cpp:341] Iteration 0, Testing net (#0)
I0124 14:28:20.100104 29877 solver.cpp:409]     Test net output #0: accuracy = 0.001
I0124 14:28:20.200104 29877 solver.cpp:409]     Test net output #1: loss = 7.08 (* 1 = 7.08 loss)
I0124 14:28:20.560104 29877 solver.cpp:236] Iteration 0, loss = 7.40464
I0124 14:28:20.560154 29877 solver.cpp:252]     Train net output #0: loss = 7.5 (* 1 = 7.5 loss)
I0124 14:28:20.560154 29877 solver.cpp:252]     Train net output #1: aux/loss = 7.1 (* 0.3 = 2.13 loss)
I0124 14:28:20.560194 29877 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0124 14:28:29.560104 29877 solver.cpp:236] Iteration 20 (2.3 iter/s, 8.6s/20 iters), loss = 87.3365
I0124 14:28:29.560194 29877 sgd_solver.cpp:106] Iteration 20, lr = 0.01
"""


def test_caffe() -> None:
    (run,) = runs(CAFFE)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "caffe"
    assert points(curves["loss"]) == [(0, 7.40464), (20, 87.3365)]
    assert points(curves["lr"]) == [(0, 0.01), (20, 0.01)]
    assert points(curves["test_accuracy"]) == [(0, 0.001)]
    assert points(curves["test_loss"]) == [(0, 7.08)]
    assert points(curves["train_aux/loss"]) == [(0, 7.1)]
    assert len(curves) == 5
    assert run.config["learning_rate"] == 0.01
    assert run.config["lr_schedule"] == "step"


def test_darknet() -> None:
    log = (
        "Region 82 Avg IOU: 0.24, Class: 0.47, Obj: 0.51, No Obj: 0.5, .5R: 0.0, .75R: 0.0, count: 12\n"
        "1: 504.456451, 650.322144 avg, 0.000000 rate, 0.116770 seconds, 100 images\n"
        "2: -nan, 640.1 avg loss, 0.001000 rate, 0.116770 seconds, 200 images\n"
    )
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "darknet"
    assert curves["loss"].step.tolist() == [1, 2]
    assert math.isnan(curves["loss"].value[1])
    # 0.000000 is a rate below the last digit, while it warms up.
    assert points(curves["learning_rate"]) == [(2, 0.001)]


def test_python_logging_takes_the_value_and_not_its_running_mean() -> None:
    log = "".join(
        f"INFO - 09/02/20 14:18:08 - 0:00:30 - Epoch: [{epoch}][{batch}/40]\tTime 5.399 (5.399)\t"
        f"Loss {4 - epoch - batch / 100:.4f} (4.3)\tAcc@1 1.50 (2.50)\tLr: 0.0000\n"
        for epoch in (0, 1)
        for batch in (0, 20)
    )
    curves = one(log)
    assert points(curves["loss"]) == [(0, 4.0), (20, 3.8), (40, 3.0), (60, 2.8)]
    assert points(curves["acc@1"])[0] == (0, 1.5)
    assert curves["loss"].epoch is not None
    assert curves["loss"].epoch.tolist() == [0, 0, 1, 1]


def test_fairseq() -> None:
    log = (
        "2021-02-03 10:11:12 | INFO | train_inner | epoch 520:     65 / 282 loss=2.997, nll_loss=1.2, "
        "ppl=2.3, wps=1000, num_updates=146300, lr=8.26757e-05, gnorm=0.632\n"
        "2021-02-03 10:11:13 | INFO | valid | epoch 520 | valid on 'valid' subset | loss 12.4 | "
        "nll_loss 3.4 | ppl 12 | num_updates 146310 | best_loss 5.2\n"
        "2021-02-03 10:11:14 | INFO | train | epoch 520 | loss 3.005 | ppl 12 | num_updates 146310\n"
    )
    curves = one(log)
    assert points(curves["loss"]) == [(146300, 2.997)]
    assert points(curves["val_loss"]) == [(146310, 12.4)]
    assert points(curves["train_loss"]) == [(146310, 3.005)]
    assert points(curves["gnorm"]) == [(146300, 0.632)]


def test_opennmt() -> None:
    log = (
        "[2019-01-01 10:00:00,000 INFO] Step 50/ 1000; acc:   3.10; ppl: 54633.68; xent: 10.91; lr: 1.00000; "
        "16245/16274 tok/s;      6 sec\n"
        "[2019-01-01 10:00:09,000 INFO] Step 100/ 1000; acc:   4.10; ppl: 24633.68; xent: 10.11; lr: 1.00000; "
        "16245/16274 tok/s;     12 sec\n"
    )
    curves = one(log)
    assert points(curves["xent"]) == [(50, 10.91), (100, 10.11)]
    assert set(curves) == {"acc", "ppl", "xent", "lr"}


KERAS_2 = (
    "Epoch 1/2\n"
    "\r 1/10 [==>...........................] - ETA: 9s - loss: 0.9 - acc: 0.1"
    "\x08\x08\x08\r10/10 [==============================] - 3s 9ms/step - loss: 0.7 - acc: 0.5\x08\x08"
    "\r10/10 [==============================] - 4s 9ms/step - loss: 0.7 - acc: 0.5 - val_loss: 0.8\n"
    "Epoch 2/2\n"
    "\r 1/10 [==>...........................] - ETA: 9s - loss: 0.6 - acc: 0.1"
    "\r10/10 [==============================] - 4s 9ms/step - loss: 0.5 - acc: 0.6 - val_loss: 0.9\n"
)
KERAS_3 = (
    "Epoch 1/2\n"
    "\r\x1b[1m 1/10\x1b[0m \x1b[32m━━\x1b[0m\x1b[37m━━━━━\x1b[0m \x1b[1m9s\x1b[0m 1s/step - acc: 0.1 - loss: 0.9"
    "\r\x1b[1m10/10\x1b[0m \x1b[32m━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m3s\x1b[0m 5ms/step - acc: 0.5 - loss: 0.7 "
    "- val_loss: 0.8\n"
    "Epoch 2/2\n"
    "\r\x1b[1m10/10\x1b[0m \x1b[32m━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m3s\x1b[0m 5ms/step - acc: 0.6 - loss: 0.5 "
    "- val_loss: 0.9\n"
)
KERAS_QUIET = (
    "Epoch 1/2\n10/10 - 3s - loss: 0.7 - acc: 0.5 - val_loss: 0.8 - 3s/epoch - 9ms/step\n"
    "Epoch 2/2\n10/10 - 3s - loss: 0.5 - acc: 0.6 - val_loss: 0.9 - 3s/epoch - 9ms/step\n"
)


@pytest.mark.parametrize("log", [KERAS_2, KERAS_3, KERAS_QUIET, KERAS_2.replace("\r", "\n")])
def test_keras_gives_one_point_an_epoch(log: str) -> None:
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "keras-console"
    assert points(curves["loss"]) == [(1, 0.7), (2, 0.5)]
    assert points(curves["acc"]) == [(1, 0.5), (2, 0.6)]
    assert points(curves["val_loss"]) == [(1, 0.8), (2, 0.9)]


@pytest.mark.parametrize("quote", ["", "'"])
def test_huggingface_console(quote: str) -> None:
    log = "".join(
        f"{{'loss': {quote}{loss}{quote}, 'grad_norm': {quote}nan{quote}, 'learning_rate': {quote}5e-05{quote}, "
        f"'epoch': {quote}{epoch}{quote}}}\n"
        for loss, epoch in ((2.5, 0.1), (0.0, 0.2))
    )
    log += "{'eval_loss': 1.25, 'eval_runtime': 10.5, 'epoch': 0.2}\n"
    (run,) = runs(log)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "huggingface-console"
    assert points(curves["loss"]) == [(0.1, 2.5), (0.2, 0.0)]
    assert [math.isnan(value) for value in curves["grad_norm"].value] == [True, True]
    assert points(curves["eval_loss"]) == [(0.2, 1.25)]


def test_boosting_rounds() -> None:
    log = "[0]\ttrain-logloss:0.61\teval-auc:0.81\n[1]\ttrain-logloss:0.52\teval-auc:0.83\n"
    curves = one(log)
    assert points(curves["train-logloss"]) == [(0, 0.61), (1, 0.52)]
    assert points(curves["eval-auc"]) == [(0, 0.81), (1, 0.83)]
    curves = one("[10]\ttraining's l2: 0.5\tvalid_1's l2: 0.7\n[20]\ttraining's l2: 0.4\tvalid_1's l2: 0.6\n")
    assert points(curves["training_l2"]) == [(10, 0.5), (20, 0.4)]
    assert points(curves["valid_1_l2"]) == [(10, 0.7), (20, 0.6)]


def test_context_words_name_the_series() -> None:
    log = "Epoch 1/9 | Train Loss: 0.9 Acc: 50.5% | Val Loss: 0.8 Acc: 60% | LR: 0.01 | Time: 9.5s\n" * 2
    curves = one(log.replace("1/9", "2/9", 1))
    assert set(curves) == {"train_loss", "train_acc", "val_loss", "val_acc", "lr"}
    assert curves["train_acc"].value.tolist()[0] == 50.5


def test_blocks_under_an_epoch_line() -> None:
    log = "".join(
        f"Epoch {epoch}/2\n----------\ntrain Loss: {1 - epoch / 10} Acc: 0.5\nval Loss: 0.8 Acc: 0.6\n\n"
        for epoch in range(3)
    )
    curves = one(log)
    assert points(curves["train_loss"]) == [(0, 1.0), (1, 0.9), (2, 0.8)]
    assert points(curves["val_acc"]) == [(0, 0.6), (1, 0.6), (2, 0.6)]


def test_mnist_example_counts_samples_over_epochs() -> None:
    log = "".join(
        f"Train Epoch: {epoch} [{n}/60000 ({n // 600}%)]\tLoss: {2 / epoch:.6f}\n"
        + ("\nTest set: Average loss: 0.0466, Accuracy: 9000/10000 (90%)\n\n" if n else "")
        for epoch in (1, 2)
        for n in (0, 640)
    )
    curves = one(log)
    assert points(curves["train_loss"]) == [(0, 2.0), (640, 2.0), (60000, 1.0), (60640, 1.0)]
    assert points(curves["test_accuracy"]) == [(640, 0.9), (60640, 0.9)]


def test_steps_of_an_epoch_go_on_in_the_next() -> None:
    log = "".join(f"Epoch [{e}/2], Step [{s}/300], Loss: {1 / e}\n" for e in (1, 2) for s in (100, 200, 300))
    assert one(log)["loss"].step.tolist() == [100, 200, 300, 400, 500, 600]
    whole = "".join(f"Epoch {s // 300} step {s}/900 loss {900 - s}\n" for s in range(0, 900, 100))
    assert one(whole)["loss"].step.tolist() == list(range(0, 900, 100))


def test_progress_bars_keep_the_last_state_at_each_step() -> None:
    bar = "\r".join(
        f" {n}%|{'█' * (n // 10)}{' ' * (10 - n // 10)}| {n}/100 [00:10<01:30, 10.0it/s, loss={loss}, lr=1e-3]"
        for n, loss in ((10, 0.9), (10, 0.8), (50, 0.5), (100, 0.4))
    )
    curves = one(bar + "\n")
    assert points(curves["loss"]) == [(10, 0.8), (50, 0.5), (100, 0.4)]
    assert curves["lr"].value.tolist() == [1e-3] * 3


def test_bars_of_evaluation_count_once() -> None:
    log = "".join(f"step {s} loss 0.5\n" for s in range(3))
    log += "\r".join(f"Val: {n}/9 [00:01, val_loss={n}.5]" for n in (1, 5, 9)) + "\n" + "step 3 loss 0.4\n"
    assert points(one(log)["val_loss"]) == [(2, 9.5)]


def test_only_the_first_process_is_read() -> None:
    log = "".join(f"[rank{rank}]: step {step} loss {rank + 1}.5\n" for step in range(3) for rank in (0, 1))
    (run,) = runs(log)
    assert points(run.curves[0]) == [(0, 1.5), (1, 1.5), (2, 1.5)]
    assert "several processes print the same series: only the first one's is read" in run.notes


def test_task_labels_of_srun_are_ranks() -> None:
    log = "".join(f"{rank}: step {step} | loss {rank + 1}.5\n" for step in range(3) for rank in (1, 0))
    assert points(one(log)["loss"]) == [(0, 2.5), (1, 2.5), (2, 2.5)]


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        (["[1,  2000] loss: 2.1", "[1,  4000] loss: 1.8", "[2,  2000] loss: 1.4"], [2000, 4000, 8000]),
        (["[1/5][0/90]\tLoss_D: 1.9", "[1/5][50/90]\tLoss_D: 1.2", "[2/5][0/90]\tLoss_D: 1.1"], [0, 50, 90]),
        (["Train: 0 [   0/90 (  0%)]  Loss: 6.9 (6.9)", "Train: 1 [   0/90 (  0%)]  Loss: 6.8 (6.9)"], [0, 90]),
        (["INFO - Epoch(train)  [1][50/90]  loss: 6.9", "INFO - Epoch(train)  [2][50/90]  loss: 6.8"], [50, 140]),
        (["loss: 2.3  [   64/900]", "loss: 2.2  [  640/900]"], [64, 640]),
        (["INFO:tensorflow:loss = 2.3, step = 1", "INFO:tensorflow:loss = 1.3, step = 101 (3.2 sec)"], [1, 101]),
    ],
)
def test_places_in_brackets(lines: list[str], steps: list[float]) -> None:
    curves = one("\n".join(lines) + "\n")
    assert len(curves) == 1
    assert next(iter(curves.values())).step.tolist() == steps


def test_ultralytics_rows_keep_the_last_state_of_an_epoch() -> None:
    header = "      Epoch    GPU_mem   box_loss   cls_loss  Instances       Size\n"
    log = "".join(
        header
        + "\r".join(
            f"      {epoch}/2      2.3G      1.{n}       2.{n}         12        640: {n}0%|███| {n}/9 [00:01<00:09]"
            for n in (3, 9)
        )
        + "\n                   all        128        929      0.64      0.537      0.605\n\n"
        for epoch in (1, 2)
    )
    curves = one(log)
    assert points(curves["box_loss"]) == [(1, 1.9), (2, 1.9)]
    assert set(curves) == {"box_loss", "cls_loss"}
    assert text.sniff(source(log)) == 0.3


def test_tables() -> None:
    log = (
        "  epoch    train_loss    valid_acc    valid_loss     dur\n"
        "-------  ------------  -----------  ------------  ------\n"
        "      1        \x1b[36m0.6868\x1b[0m       \x1b[32m0.5890\x1b[0m        \x1b[35m0.6776\x1b[0m  0.0610\n"
        "      2        \x1b[36m0.6706\x1b[0m       0.5890        nan  0.0590\n"
    )
    curves = one(log)
    assert points(curves["train_loss"]) == [(1, 0.6868), (2, 0.6706)]
    assert math.isnan(curves["valid_loss"].value[1])
    assert "dur" not in curves


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("nan", math.nan),
        ("NaN", math.nan),
        ("-nan(ind)", math.nan),
        ("1.#IND", math.nan),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("tensor(0.5)", 0.5),
        ("tensor(0.5, device='cuda:0')", 0.5),
        ("np.float64(0.25)", 0.25),
        ("1,234.5", 1234.5),
        ("3.0e-4", 3e-4),
        ("-1.5E+02", -150.0),
        ("99.91%", 99.91),
    ],
)
def test_numbers(shown: str, value: float) -> None:
    curve = one(f"step 1 loss: 2.5\nstep 2 loss: {shown}\nstep 3 loss={shown} | lr 0.1\n")["loss"]
    assert curve.step.tolist() == [1, 2, 3]
    for read in curve.value[1:]:
        assert read == value or (math.isnan(read) and math.isnan(value))


def test_lines_without_a_step_are_counted() -> None:
    (run,) = runs("loss: 0.9\nloss: 0.8\nval_loss: 1.5\nloss: 0.7\n")
    curves = {curve.name: curve for curve in run.curves}
    assert curves["loss"].step.tolist() == [0, 1, 2]
    assert "the log gives no step: its lines are counted" in run.notes


def test_argument_dumps_are_settings() -> None:
    log = "Namespace(lr=0.1, batch_size=32, epochs=3)\nweight_decay: 0.0005\nloss_weight: 0.5\nlearning_rate: 0.1\n"
    (run,) = runs(log + "step 1 loss 2.0\nstep 2 loss 1.0\n")
    assert [curve.name for curve in run.curves] == ["loss"]
    assert dict(run.config) == {
        "lr": 0.1,
        "learning_rate": 0.1,
        "batch_size": 32,
        "epochs": 3,
        "weight_decay": 0.0005,
    }


def test_a_torn_last_line_is_left_out_and_noted() -> None:
    (run,) = runs("step 1 loss 2.512\nstep 2 loss 2.412\nstep 3 loss 2.3")
    assert points(run.curves[0]) == [(1, 2.512), (2, 2.412)]
    assert run.notes == ("the last line is cut off and was left out",)
    (run,) = runs("step 1 loss 2.512\nstep 2 loss 2.412\nstep 3 loss nan")
    assert len(run.curves[0].value) == 3


def test_pattern() -> None:
    log = "It=5 -> L:2.5|x\nnoise 7\nIt=6 -> L:nan|x\n"
    curves = one(log, r"It=(?P<step>\d+) -> L:(?P<loss>[^|]+)")
    assert curves["loss"].step.tolist() == [5, 6]
    assert math.isnan(curves["loss"].value[1])
    with pytest.raises(SettingsError, match="at position 4"):
        runs(log, "loss(")
    with pytest.raises(SettingsError, match="names no series"):
        runs(log, r"(?P<step>\d+)")
    with pytest.raises(NoLossError, match="pattern"):
        runs(log, r"absent (?P<loss>\d+)")


def test_a_pattern_sees_no_more_than_4096_characters_of_a_line() -> None:
    with pytest.raises(NoLossError):
        runs("x" * 5000 + " loss 5\n", r"loss (?P<loss>\d+)")


@pytest.mark.parametrize(
    ("content", "name", "low", "high"),
    [
        (NANOGPT, "out.txt", 0.3, 0.6),
        (MEGATRON, "out.txt", 0.3, 0.6),
        (CAFFE, "x.log", 0.3, 0.6),
        (KERAS_2, "x.out", 0.3, 0.6),
        ('{"loss": 0.5, "step": 1}\n' * 9, "x.jsonl", 0, 0),
        ('[{"loss": 0.5}]', "x.json", 0, 0),
        ("epoch,loss\n1,0.5\n2,0.4\n", "x.csv", 0, 0),
        ("numpy==1.26\ntorch>=2.1\n", "requirements.txt", 0, 0),
        ("# Title\n\nThis trains a model in 10 epochs; the loss falls to 0.5.\n", "README.md", 0, 0),
        ("def f(x):\n    loss = 0.5\n    return loss\n", "train.py", 0, 0),
        (b"\x00\x01\x02\x03\x04\x05\x00\x00\x00loss 0.5", "x.bin", 0, 0),
        (b"", "empty.txt", 0, 0),
    ],
)
def test_sniff(content: str | bytes, name: str, low: float, high: float) -> None:
    assert low <= text.sniff(source(content, name)) <= high


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 5000,
        bytes(range(256)) * 40,
        b"step 1 loss 0.5 " * 700_000,
        b"\x1b[" * 100_000 + b"\n",
        b"\x1b]" + b"x" * 500_000 + b"\n",
        b"1." * 400_000 + b"\n",
        b"loss: " * 100_000 + b"\n",
        b"loss" + b" " * 900_000 + b"1\n",
        ("損失 loss\u202e: 0.5 \ud83d\ude00\n" * 5).encode("utf-8", "surrogatepass"),
        b"{" * 500_000 + b"\n",
        b"\r" * 900_000,
        b"1/2/" * 200_000 + b" loss=3\n",
    ],
)
def test_hostile_bytes_are_read_or_refused(content: bytes) -> None:
    text.sniff(source(content))
    try:
        found = runs(content)
    except CtroubleshootError:
        return
    assert all(len(curve.value) for run in found for curve in run.curves)


@pytest.mark.parametrize("log", [NANOGPT, MEGATRON, CAFFE, KERAS_2, KERAS_3, SOURCE_FIRST])
def test_truncation_at_every_byte(log: str) -> None:
    data = log.encode()
    whole = {curve.name: dict(points(curve)) for run in runs(data) for curve in run.curves}
    for cut in range(0, len(data), 1 if len(data) < 700 else 7):
        try:
            found = runs(data[:cut])
        except NoLossError:
            continue
        for curve in found[0].curves:
            if log not in (KERAS_2, KERAS_3):  # a bar cut short shows an earlier state of the epoch
                assert all(math.isnan(value) or value == whole[curve.name][step] for step, value in points(curve))


WORDS = st.sampled_from(
    [
        "step",
        "iter",
        "loss",
        "val_loss",
        "train",
        "nan",
        "inf",
        "epoch",
        "lr",
        "=",
        ":",
        "|",
        ",",
        "/",
        "[",
        "]",
        "(",
        ")",
        "\r",
        "\n",
        "\x1b[1m",
        "1",
        "0.5",
        "1e400",
        "-3",
        "100/200",
        "%",
        "tensor(",
        "'loss'",
        "{",
        "}",
        "Iteration",
        "Testing",
        "net",
        "output",
        "#0",
        "avg",
        "rate",
        "==",
        "-",
        "e+",
        "\x00",
        "acc@1",
        "1,234",
        "━━━",
        "[===>..]",
        "-",
        "é",
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(WORDS, max_size=80).map(" ".join), st.binary(max_size=30))
def test_nothing_but_our_errors_escapes(words: str, junk: bytes) -> None:
    content = words.encode() + junk
    assert 0 <= text.sniff(source(content)) <= 0.6
    try:
        found = runs(content)
    except CtroubleshootError:
        return
    for run in found:
        for curve in run.curves:
            assert len(curve.step) == len(curve.value) > 0
