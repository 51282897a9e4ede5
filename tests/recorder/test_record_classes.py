"""Labels from the gradient of the loss, against the labels themselves."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from convergence_cli.recorder.classes import from_gradient, from_labels, lines_of_classes, outputs_of

Loss = Callable[[Tensor, Tensor], Tensor]


def told(output: Tensor, y: Tensor, loss: Loss) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The labels and predictions that the gradient of ``loss`` tells."""
    output.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(output, y), output)
    found = from_gradient(outputs_of("output", output, None), gradient)()
    return None if found is None else found[:2]


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("classes", [2, 3, 100])
def test_cross_entropy_tells_its_labels(scale: float, classes: int) -> None:
    torch.manual_seed(0)
    output, y = torch.randn(64, classes) * scale, torch.randint(0, classes, (64,))
    found = told(output, y, functional.cross_entropy)
    assert found is not None
    labels, predicted = found
    assert predicted is not None
    # Where all is lost to rounding nothing is said.
    assert (labels == y.numpy())[labels >= 0].all()
    assert (labels >= 0).mean() > 0.9
    assert (predicted == output.argmax(1).numpy()).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_classes_and_ignored_rows(reduction: str) -> None:
    torch.manual_seed(0)
    output, y = torch.randn(64, 5), torch.randint(0, 5, (64,))
    y[::7] = -100
    weight = torch.tensor([1.0, 5.0, 0.2, 1.0, 3.0])
    found = told(output, y, lambda o, t: functional.cross_entropy(o, t, weight=weight, reduction=reduction))
    assert found is not None
    assert (np.where(found[0] < 0, -100, found[0]) == y.numpy()).all()


def test_tokens_and_pictures_of_labels() -> None:
    torch.manual_seed(0)
    output, y = torch.randn(4, 9, 11), torch.randint(0, 11, (4, 9))
    found = told(output, y, lambda o, t: functional.cross_entropy(o.flatten(0, 1), t.flatten()))
    assert found is not None
    assert (found[0] == y.flatten().numpy()).all()
    shifted = told(output, y, lambda o, t: functional.cross_entropy(o[:, :-1].flatten(0, 1), t[:, 1:].flatten()))
    assert shifted is not None
    assert (shifted[0].reshape(4, 9)[:, :-1] == y[:, 1:].numpy()).all()
    assert (shifted[0].reshape(4, 9)[:, -1] == -1).all()
    image, mask = torch.randn(2, 6, 5, 5), torch.randint(0, 6, (2, 5, 5))
    found = told(image, mask, functional.cross_entropy)
    assert found is not None
    assert (found[0] == mask.flatten().numpy()).all()
    steps, classes = torch.randn(4, 3, 10), torch.randint(0, 3, (4, 10))
    found = told(steps, classes, functional.cross_entropy)
    assert found is not None
    assert (found[0] == classes.flatten().numpy()).all()


def test_half_precision() -> None:
    torch.manual_seed(0)
    output, y = torch.randn(64, 10).bfloat16(), torch.randint(0, 10, (64,))
    found = told(output, y, lambda o, t: functional.cross_entropy(o.float(), t))
    assert found is not None
    assert (found[0] == y.numpy()).all()


@pytest.mark.parametrize("shape", [(64,), (64, 1)])
def test_binary_cross_entropy_tells_its_labels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    output, y = torch.randn(shape), torch.randint(0, 2, shape).float()
    found = told(output, y, functional.binary_cross_entropy_with_logits)
    assert found is not None
    assert found[1] is not None
    assert (found[0] == y.flatten().numpy()).all()
    assert (found[1] == (output > 0).flatten().long().numpy()).all()
    found = told(torch.rand(shape) * 0.9 + 0.05, y, functional.binary_cross_entropy)
    assert found is not None
    assert (found[0] == y.flatten().numpy()).all()


@pytest.mark.parametrize(
    "loss",
    [
        functional.mse_loss,
        functional.l1_loss,
        functional.huber_loss,
        lambda o, t: (o.softmax(1) - t.softmax(1)).square().sum(),
        lambda o, t: functional.kl_div(o.log_softmax(1), t.softmax(1), reduction="batchmean"),
        lambda o, t: functional.cross_entropy(o, t.argmax(1), label_smoothing=0.3),
        lambda o, t: -(o.log_softmax(1).gather(1, t.argmax(1, keepdim=True)) * t[:, :1]).mean(),
        lambda o, t: o.sum() * 0,
    ],
)
def test_other_losses_tell_nothing(loss: Loss) -> None:
    torch.manual_seed(0)
    assert told(torch.randn(64, 5), torch.randn(64, 5), loss) is None


@pytest.mark.parametrize("loss", [functional.mse_loss, functional.l1_loss, functional.smooth_l1_loss])
@pytest.mark.parametrize("bounded", [False, True])
def test_regression_of_one_number_tells_nothing(loss: Loss, bounded: bool) -> None:
    torch.manual_seed(0)
    output = torch.rand(64, 1) if bounded else torch.randn(64, 1)
    assert told(output, torch.randn(64, 1), loss) is None


def test_given_labels_and_their_confusion() -> None:
    output, y = torch.eye(4).repeat(3, 1), torch.tensor([0, 1, 2, 3, 0, 1, 2, 2, 0, 1, 1, -100])
    job = from_labels(outputs_of("logits", output, y), y)
    assert job is not None
    lines = [json.loads(line) for line in lines_of_classes(7, job())]
    assert lines[0] == {"labels": "labels", "step": 7, "values": [0, 1, 2, 3], "counts": [3, 4, 3, 1]}
    assert lines[1]["cells"] == [[0, 0, 3], [1, 1, 3], [1, 2, 1], [2, 2, 2], [2, 3, 1], [3, 3, 1]]
    assert lines[1]["classes"] == 4


def test_targets_that_are_no_classes_are_not_counted() -> None:
    assert from_labels([], torch.randn(8)) is None
    job = from_labels([], torch.arange(5000))
    assert job is not None
    assert list(lines_of_classes(1, job())) == []
