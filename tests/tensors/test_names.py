from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.tensor_stats import KINDS
from convergence_cli.tensors.names import Named, named, without_shared_prefix


@pytest.mark.parametrize(
    ("key", "kind", "name", "layer", "function"),
    [
        ("gradient/fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("gradients/fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("grad/fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("Gradient\\fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("GRADS:fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("gradient.fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("gradient/Net_fc1.weight", "gradient", "Net_fc1.weight", "Net_fc1", ""),
        ("fc1.weight.grad", "gradient", "fc1.weight", "fc1", ""),
        ("fc1/weight/grad", "gradient", "fc1.weight", "fc1", ""),
        ("fc1.weight_grad", "gradient", "fc1.weight", "fc1", ""),
        ("grad_fc1.weight", "gradient", "fc1.weight", "fc1", ""),
        ("gradient/fc1.weight.grad", "gradient", "fc1.weight", "fc1", ""),
        ("gradient/fc1", "gradient", "fc1", "fc1", ""),
        ("grad_norm", "", "grad_norm", "grad_norm", ""),
        ("weights/fc1/kernel:0", "weight", "fc1.kernel", "fc1", ""),
        ("weight/fc1.weight", "weight", "fc1.weight", "fc1", ""),
        ("params/Dense_0/kernel", "weight", "Dense_0.kernel", "Dense_0", ""),
        ("fc1.weight", "weight", "fc1.weight", "fc1", ""),
        ("dense/kernel", "weight", "dense.kernel", "dense", ""),
        ("dense/bias", "weight", "dense.bias", "dense", ""),
        ("rnn.weight_ih_l0", "weight", "rnn.weight_ih_l0", "rnn", ""),
        ("rnn.bias_hh_l1_reverse", "weight", "rnn.bias_hh_l1_reverse", "rnn", ""),
        ("attn.in_proj_weight", "weight", "attn.in_proj_weight", "attn", ""),
        ("fc1_weight", "weight", "fc1_weight", "fc1", ""),
        ("weight", "weight", "weight", "", ""),
        ("output.dense.weight", "weight", "output.dense.weight", "output.dense", ""),
        ("output/kernel:0", "weight", "output.kernel", "output", ""),
        ("input.weight", "weight", "input.weight", "input", ""),
        ("layer1.0.bn1.running_mean", "weight", "layer1.0.bn1.running_mean", "layer1.0.bn1", "buffer"),
        ("bn.num_batches_tracked", "weight", "bn.num_batches_tracked", "bn", "buffer"),
        ("_orig_mod.fc1.weight", "weight", "fc1.weight", "fc1", ""),
        ("update/fc1.weight", "update", "fc1.weight", "fc1", ""),
        ("updates/fc1.weight", "update", "fc1.weight", "fc1", ""),
        ("activation/relu1", "activation", "relu1", "relu1", "relu"),
        ("activations/relu1", "activation", "relu1", "relu1", "relu"),
        ("act/block.3.gelu", "activation", "block.3.gelu", "block.3.gelu", "gelu"),
        ("activation/fc1", "activation", "fc1", "fc1", ""),
        ("activation/fc1_relu", "activation", "fc1_relu", "fc1_relu", "relu"),
        ("activation/pre_relu", "activation", "pre_relu", "pre_relu", ""),
        ("activation/conv1_output_0", "activation", "conv1", "conv1", ""),
        ("relu_output_0", "activation", "relu", "relu", "relu"),
        ("tanh_input_0", "activation", "tanh_input", "tanh", "tanh_input"),
        ("LeakyReLU_output_0", "activation", "LeakyReLU", "LeakyReLU", "leaky_relu"),
        ("leaky_relu1_output_0", "activation", "leaky_relu1", "leaky_relu1", "leaky_relu"),
        ("log_softmax_output_0", "activation", "log_softmax", "log_softmax", "log_softmax"),
        ("swish_output_0", "activation", "swish", "swish", "silu"),
        ("fc1_output_0", "activation", "fc1", "fc1", ""),
        ("1_output_0", "activation", "1", "1", ""),
        ("lstm_output_1", "activation", "lstm_1", "lstm", ""),
        ("CrossEntropyLoss_output_0", "", "CrossEntropyLoss", "CrossEntropyLoss", ""),
        ("CrossEntropyLoss_input_0", "output", "CrossEntropyLoss_input", "CrossEntropyLoss", ""),
        ("CrossEntropyLoss_input_1", "label", "CrossEntropyLoss_input_1", "CrossEntropyLoss", ""),
        ("input/x", "input", "x", "x", ""),
        ("inputs/x", "input", "x", "x", ""),
        ("label/y", "label", "y", "y", ""),
        ("targets/y", "label", "y", "y", ""),
        ("outputs/logits", "output", "logits", "logits", ""),
        ("output/softmax", "output", "softmax", "softmax", "softmax"),
        ("logits", "output", "logits", "logits", ""),
        ("predictions", "output", "predictions", "predictions", ""),
        ("labels", "label", "labels", "labels", ""),
        ("loss", "", "loss", "loss", ""),
        ("lr", "", "lr", "lr", ""),
        ("exp_avg", "", "exp_avg", "exp_avg", ""),
    ],
)
def test_names_as_they_are_written(key: str, kind: str, name: str, layer: str, function: str) -> None:
    assert named(key) == Named(kind, name, layer, function)


def test_the_layout_may_tell_the_kind() -> None:
    assert named("fc1.weight", "gradient") == Named("gradient", "fc1.weight", "fc1")
    assert named("gradient/fc1.weight", "gradient") == Named("gradient", "fc1.weight", "fc1")


def names(keys: list[str]) -> list[str]:
    return [one.name for one in without_shared_prefix([named(key) for key in keys])]


def test_what_all_parameters_begin_with_is_dropped() -> None:
    assert names(["gradient/Net_fc1.weight", "Net_fc1.weight", "relu_output_0"]) == ["fc1.weight", "fc1.weight", "relu"]
    assert names(["module.model.a.weight", "module.model.b.bias"]) == ["a.weight", "b.bias"]
    assert names(["model.a.weight", "activation/model.relu"]) == ["a.weight", "relu"]
    assert names(["Sequential_0.weight", "Sequential_2.weight"]) == ["0.weight", "2.weight"]


def test_a_saved_model_has_the_names_of_its_gradients() -> None:
    assert names(["model.a.weight", "model.b.weight", "gradient.a.weight"]) == ["a.weight", "b.weight", "a.weight"]
    assert names(["model.a.weight", "ema.a.weight", "gradient.model.a.weight"])[2] == "model.a.weight"


def test_what_only_some_parameters_begin_with_stays() -> None:
    assert names(["model.a.weight", "ema.a.weight"]) == ["model.a.weight", "ema.a.weight"]
    assert names(["params/Dense_0/kernel", "params/Dense_1/kernel"]) == ["Dense_0.kernel", "Dense_1.kernel"]
    assert names(["params/Dense_0/kernel"]) == ["Dense_0.kernel"]
    assert names(["relu_output_0"]) == ["relu"]


def test_layers_lose_the_prefix_too() -> None:
    (one,) = without_shared_prefix([named("module.fc.weight")])
    assert one.layer == "fc"


@given(st.text(max_size=60))
def test_any_name_has_a_kind_or_none(key: str) -> None:
    one = named(key)
    assert one.kind in {"", *KINDS}
    without_shared_prefix([one, named("gradient/" + key)])
