"""What training programs print, in the layouts of their sources: each is named and read at its steps and roles."""

from __future__ import annotations

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


def two_epochs(train: str, closing: str, per_epoch: int = 3) -> str:
    """Lines of training (``e`` epoch, ``i`` batch, ``g`` step, ``v`` a loss) and of what follows each epoch."""
    out = ""
    for e in (1, 2):
        for i in range(1, per_epoch + 1):
            g = (e - 1) * per_epoch + i
            out += train.format(e=e, z=e - 1, i=i, j=i - 1, g=g, v=f"{4 - g / 2:.2f}")
        out += closing.format(e=e, z=e - 1, g=e * per_epoch, v=f"{4 - e * per_epoch / 2:.2f}", w=f"{4.2 - e:.2f}")
    return out


TIMM = two_epochs(
    "Train: {z} [   {j}/3 ( 50%)]  Loss: {v} (9.99)  Time: 0.331s,  386.70/s  (0.332s,  385.00/s)  LR: 1.000e-05  "
    "Data: 0.01 (0.02)\n",
    "Test: [   0/2]  Time: 0.3 (0.3)  Loss:   9.000 ( 9.000)  Acc@1:   1.000 (  1.000)\n"
    "Test: [   2/2]  Time: 0.3 (0.3)  Loss:   8.000 ( {w})  Acc@1:   5.000 ( 1{e}.000)\n"
    "Current checkpoints:\n ('./output/checkpoint-{z}.pth.tar', 1{e}.0)\n\n",
) + ("*** Best metric: 12.0 (epoch 1)\n")
SWIN = two_epochs(
    "[2021-04-01 00:00:00 swin_tiny](main.py 200): INFO Train: [{z}/300][{j}/3]\teta 0:10:00 lr 0.000001\t wd 0.0500\t"
    "time 0.5000 (0.6000)\tloss {v} (9.99)\tgrad_norm 1.2345 (inf)\tmem 8000MB\n",
    "[2021-04-01 00:00:00 swin_tiny](main.py 280): INFO Test: [0/9]\tTime 1.2 (1.2)\tLoss 8.0 ({w})\tMem 8000MB\n"
    "[2021-04-01 00:00:00 swin_tiny](main.py 290): INFO  * Acc@1 1{e}.000 Acc@5 50.500\n"
    "[2021-04-01 00:00:00 swin_tiny](main.py 161): INFO Max accuracy: 12.00%\n",
)
IMAGENET = two_epochs(
    "Epoch: [{z}][{j}/3]\tTime  0.5 ( 0.6)\tData  0.1 ( 0.2)\tLoss {v}e+00 (9.9e+00)\tAcc@1   0.39 (  0.40)\n",
    "Test: [1/9]\tTime  1.5 ( 1.5)\tLoss 8.0e+00 ({w}e+00)\tAcc@1   3.39 (  3.40)\n *   Acc@1 1{e}.000 Acc@5 40.2\n",
)
DETR = two_epochs(
    "Epoch: [{z}]  [{j}/3]  eta: 0:30:00  lr: 0.0001  loss: {v} (9.9)  loss_ce: 2.1 (2.2)  time: 1.2  data: 0.1\n",
    "Averaged stats: lr: 0.0001  loss: 7.7 (7.7)  loss_ce: 2.1 (2.2)\n"
    "Test:  [8/9]  eta: 0:01:00  loss: 8.0 (8.0)  time: 0.5\nAveraged stats: loss: 8.0 ({w})\n",
)
MMENGINE = two_epochs(
    "2023/01/01 12:00:00 - mmengine - INFO - Epoch(train)  [{e}][{i}/3]  lr: 1.0000e-03  eta: 0:00:10  time: 0.0150  "
    "data_time: 0.0010  memory: 300  loss: {v}  loss_cls: 1.1  loss_bbox: 1.0\n",
    "2023/01/01 12:00:00 - mmengine - INFO - Saving checkpoint at {e} epochs\n"
    "2023/01/01 12:00:00 - mmengine - INFO - Epoch(val)  [{e}][ 50/100]    eta: 0:00:01  time: 0.02  memory: 300  \n"
    "2023/01/01 12:00:00 - mmengine - INFO - Epoch(val) [{e}][100/100]    val_loss: {w}  coco/bbox_mAP: 0.2{e}  "
    "data_time: 0.0100  time: 0.0200\n",
)
MMENGINE_ITER = two_epochs(
    "2023/01/01 12:00:00 - mmengine - INFO - Iter(train) [ {g}/20000]  lr: 9.9000e-03  eta: 1:00:10  loss: {v}\n",
    "2023/01/01 12:00:00 - mmengine - INFO - Iter(val) [100/100]    val_loss: {w}  aAcc: 80.1000  time: 0.2\n",
)
MMCV = two_epochs(
    "2021-08-04 10:00:00,000 - mmdet - INFO - Epoch [{e}][{i}/3]\tlr: 1.978e-03, eta: 1 day, 0:00:00, time: 0.8, "
    "data_time: 0.1, memory: 3000, loss_rpn_cls: 0.6, loss_bbox: 0.2, loss: {v}, grad_norm: 3.2\n",
    "2021-08-04 10:00:00,000 - mmdet - INFO - Epoch(val) [{e}][625]\tval_loss: {w}, bbox_mAP: 0.2\n",
)
PPCLS = two_epochs(
    "[2024/01/01 12:00:00] ppcls INFO: [Train][Epoch {e}/3][Iter: {j}/3]lr(LinearWarmup): 0.00125000, top1: 0.1, "
    "CELoss: {v}, loss: {v}, batch_cost: 0.5s, reader_cost: 0.1, ips: 64.1 samples/s, eta: 0:10:00\n",
    "[2024/01/01 12:00:00] ppcls INFO: [Train][Epoch {e}/3][Avg]top1: 0.1, CELoss: 7.7, loss: 7.7\n"
    "[2024/01/01 12:00:00] ppcls INFO: [Eval][Epoch {e}][Iter: 0/5]CELoss: 8.0, loss: 8.0, batch_cost: 0.5s\n"
    "[2024/01/01 12:00:00] ppcls INFO: [Eval][Epoch {e}][Avg]CELoss: {w}, loss: {w}, top1: 0.1\n"
    "[2024/01/01 12:00:00] ppcls INFO: [Eval][Epoch {e}][best metric: 0.13]\n",
)
PPDET = two_epochs(
    "[01/01 12:00:00] ppdet.engine INFO: Epoch: [{z}] [{j}/3] learning_rate: 0.000100 loss_bbox_cls: 1.2 loss: {v} "
    "eta: 1 day, 1:00:00 batch_cost: 0.5 data_cost: 0.1 ips: 10.1 images/s\n",
    "[01/01 12:00:00] ppdet.engine INFO: Eval iter: 0\n[01/01 12:00:00] ppdet.engine INFO: val_loss: {w}\n",
)
FAIRSEQ = two_epochs(
    "2021-02-03 10:11:12 | INFO | train_inner | epoch 00{e}:     {i} / 3 loss={v}, nll_loss=1.2, ppl=2.3, wps=1000, "
    "num_updates={g}, lr=8.26757e-05, gnorm=0.632, loss_scale=128, train_wall=5, gb_free=7.5, wall=20\n",
    "2021-02-03 10:11:13 | INFO | valid | epoch 00{e} | valid on 'valid' subset | loss {w} | nll_loss 3.4 | ppl 12 | "
    "wps 1000 | num_updates {g} | best_loss 3.2\n"
    "2021-02-03 10:11:14 | INFO | fairseq.checkpoint_utils | Saved x.pt (epoch {e} @ {g} updates, score 3.2)\n"
    "2021-02-03 10:11:14 | INFO | train | epoch 00{e} | loss 7.7 | ppl 12 | num_updates {g} | gnorm 0.5 | wall 9\n",
)
FAIRSEQ_JSON = two_epochs(
    '2021-02-03 10:11:12 | INFO | train_inner | {{"epoch": {e}, "update": 0.5, "loss": "{v}", "ppl": "2.30", '
    '"num_updates": "{g}", "lr": "8.26757e-05", "gnorm": "0.632", "wall": "20"}}\n',
    '2021-02-03 10:11:13 | INFO | valid | {{"epoch": {e}, "valid_loss": "{w}", "valid_num_updates": "{g}"}}\n'
    '2021-02-03 10:11:13 | INFO | train | {{"epoch": {e}, "train_loss": "7.7", "train_num_updates": "{g}"}}\n',
)
LIGHTNING = two_epochs(
    "\rEpoch {z}:  33%|###3      | {i}/3 [00:01<00:01, 92.31it/s, v_num=0, train_loss={v}, val_loss=4.00]",
    "\n\rValidation DataLoader 0: 100%|##########| 20/20 [00:00<00:00, 200.1it/s]\r"
    "\rEpoch {z}: 100%|##########| 3/3 [00:01<00:00, 92.31it/s, v_num=0, train_loss={v}, val_loss={w}]\n",
)


@pytest.mark.parametrize(
    ("program", "log", "first"),
    [
        ("timm", TIMM, 0),
        ("text", SWIN, 0),
        ("text", IMAGENET, 0),
        ("torchvision", DETR, 0),
        ("mmengine-console", MMENGINE, 1),
        ("mmengine-console", MMENGINE_ITER, 1),
        ("mmcv-console", MMCV, 1),
        ("paddle", PPCLS, 0),
        ("paddle", PPDET, 0),
        ("fairseq", FAIRSEQ, 1),
        ("fairseq", FAIRSEQ_JSON, 1),
    ],
)
def test_epochs_of_batches_and_their_evaluations(program: str, log: str, first: int) -> None:
    (run,) = runs(log)
    train, val = run.curve("train_loss"), run.curve("val_loss")
    assert run.format == program
    assert train is not None
    assert points(train) == [(step + first, 4 - (step + 1) / 2) for step in range(6)]
    assert not train.restarts
    assert val is not None
    assert points(val) == [(2 + first, 3.2), (5 + first, 2.2)]
    accuracy = run.curve("val_accuracy")
    if accuracy is not None and "cc@1" in accuracy.name:
        assert accuracy.value.tolist() == [11, 12]
    names = {curve.name for curve in run.curves}
    assert not {name for name in names if name.endswith(("data", "cost", "ips", "wps", "score", "time"))}


def test_a_bar_shows_an_evaluation_until_the_next() -> None:
    (run,) = runs(LIGHTNING)
    assert run.format == "lightning-console"
    curves = {curve.name: curve for curve in run.curves}
    assert points(curves["train_loss"]) == [(step, 4 - step / 2) for step in range(1, 7)]
    assert curves["val_loss"].value.tolist() == [4.0, 3.2, 4.0, 2.2]
    frozen = one(LIGHTNING.replace("val_loss=3.20", "val_loss=4.00").replace("val_loss=2.20", "val_loss=4.00"))
    assert points(frozen["val_loss"]) == [(1, 4.0), (6, 4.0)]


def test_an_evaluation_that_does_not_move_counts_once_an_epoch() -> None:
    bar = "Epoch {}: 100%|###| {}/2 [00:01<00:00, 9.31it/s, v_num=0, train_loss=0.5, val_loss=0.25]\n"
    log = "".join(bar.format(epoch, n) for epoch in range(4) for n in (1, 2))
    assert points(one(log)["val_loss"]) == [(1, 0.25), (4, 0.25), (6, 0.25), (8, 0.25)]


COMPOSER = "".join(
    f"[epoch={epoch}][batch={batch}/20]:\n\t Train time/epoch: {epoch - 1}\n\t Train time/batch: {batch - 1}\n"
    f"\t Train loss/train/total: {4 - epoch - batch / 20:.4f}\n\t Train metrics/train/MulticlassAccuracy: 0.5\n"
    + ("[Eval batch=1/3] Eval on eval data\n[Eval batch=3/3] Eval on eval data:\n" if batch == 20 else "")
    + (f"\t Eval metrics/eval/CrossEntropy: {3 - epoch}.5000\n" if batch == 20 else "")
    for epoch in (1, 2)
    for batch in (10, 20)
)


def test_composer() -> None:
    (run,) = runs(COMPOSER)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "composer"
    assert points(curves["loss/train/total"]) == [(10, 2.5), (20, 2.0), (30, 1.5), (40, 1.0)]
    assert points(curves["metrics/eval/CrossEntropy"]) == [(20, 2.5), (40, 1.5)]
    roles = {curve.name: curve.role for curve in run.curves}
    assert roles["metrics/eval/CrossEntropy"] == "val_loss"
    assert roles["metrics/train/MulticlassAccuracy"] == "train_accuracy"
    tokens = "".join(
        f"[token={step * 2048}/99999]:\n\t Train time/batch: {step - 1}\n\t Train time/token: {step * 2048}\n"
        f"\t Train loss/train/total: {9 - step}.5\n"
        for step in range(1, 5)
    )
    assert points(one(tokens)["loss/train/total"]) == [(1, 8.5), (2, 7.5), (3, 6.5), (4, 5.5)]
