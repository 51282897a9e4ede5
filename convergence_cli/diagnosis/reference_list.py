"""Where remedies come from, by the name of the remedy and by what it changes: data, and a look-up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST = 3

# Author and year, title, where; the address is one that lasts.
PAPERS: Mapping[str, str] = {
    "adamw": "Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, ICLR, arxiv.org/abs/1711.05101",
    "balanced": "Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples, CVPR, "
    "arxiv.org/abs/1901.05555",
    "batch_norm": "Ioffe and Szegedy 2015, Batch Normalization, ICML, arxiv.org/abs/1502.03167",
    "bfloat16": "Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, arxiv.org/abs/1905.12322",
    "bloom": "Le Scao et al. 2022, BLOOM: A 176B-Parameter Open-Access Multilingual Language Model, "
    "arxiv.org/abs/2211.05100",
    "boosting_stop": "Zhang and Yu 2005, Boosting with Early Stopping: Convergence and Consistency, Annals of "
    "Statistics 33, arxiv.org/abs/math/0508276",
    "clip": "Pascanu et al. 2013, On the Difficulty of Training Recurrent Neural Networks, ICML, "
    "arxiv.org/abs/1211.5063",
    "confident": "Northcutt et al. 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, "
    "arxiv.org/abs/1911.00068",
    "cs231n": "Karpathy 2016, CS231n notes, Babysitting the Learning Process, cs231n.github.io/neural-networks-3",
    "dropout": "Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 15, "
    "jmlr.org/papers/v15/srivastava14a.html",
    "edge": "Cohen et al. 2021, Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, ICLR, "
    "arxiv.org/abs/2103.00065",
    "embedding_norm": "Le Scao et al. 2022, What Language Model to Train if You Have One Million GPU Hours?, EMNLP, "
    "arxiv.org/abs/2210.15424",
    "focal": "Lin et al. 2017, Focal Loss for Dense Object Detection, ICCV, arxiv.org/abs/1708.02002",
    "gelu": "Hendrycks and Gimpel 2016, Gaussian Error Linear Units, arxiv.org/abs/1606.08415",
    "glorot": "Glorot and Bengio 2010, Understanding the Difficulty of Training Deep Feedforward Neural Networks, "
    "AISTATS, proceedings.mlr.press/v9/glorot10a.html",
    "goyal": "Goyal et al. 2017, Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, arxiv.org/abs/1706.02677",
    "he": "He et al. 2015, Delving Deep into Rectifiers, ICCV, arxiv.org/abs/1502.01852",
    "huber": "Huber 1964, Robust Estimation of a Location Parameter, Annals of Mathematical Statistics 35",
    "imbalance": "Buda et al. 2018, A Systematic Study of the Class Imbalance Problem in Convolutional Neural "
    "Networks, Neural Networks 106, arxiv.org/abs/1710.05381",
    "layer_norm": "Ba et al. 2016, Layer Normalization, arxiv.org/abs/1607.06450",
    "leakage": "Kapoor and Narayanan 2023, Leakage and the Reproducibility Crisis in Machine-Learning-Based Science, "
    "Patterns 4, arxiv.org/abs/2207.07048",
    "leaky": "Maas et al. 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models, ICML workshop",
    "lecun": "LeCun et al. 1998, Efficient BackProp, Neural Networks: Tricks of the Trade, LNCS 1524",
    "mixup": "Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, ICLR, arxiv.org/abs/1710.09412",
    "molybog": "Molybog et al. 2023, A Theory on Adam Instability in Large-Scale Machine Learning, "
    "arxiv.org/abs/2304.09871",
    "noise_scale": "McCandlish et al. 2018, An Empirical Model of Large-Batch Training, arxiv.org/abs/1812.06162",
    "noisy_labels": "Zhang and Sabuncu 2018, Generalized Cross Entropy Loss for Training Deep Neural Networks with "
    "Noisy Labels, NeurIPS, arxiv.org/abs/1805.07836",
    "orthogonal": "Saxe et al. 2014, Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural "
    "Networks, ICLR, arxiv.org/abs/1312.6120",
    "packing": "Krell et al. 2021, Efficient Sequence Packing without Cross-Contamination, arxiv.org/abs/2107.02027",
    "palm": "Chowdhery et al. 2022, PaLM: Scaling Language Modeling with Pathways, section 5.1, "
    "arxiv.org/abs/2204.02311",
    "playbook": "Godbole et al. 2023, Deep Learning Tuning Playbook, github.com/google-research/tuning_playbook",
    "prechelt": "Prechelt 1998, Early Stopping - But When?, Neural Networks: Tricks of the Trade, LNCS 1524",
    "qk": "Henry et al. 2020, Query-Key Normalization for Transformers, EMNLP Findings, arxiv.org/abs/2010.04245",
    "radam": "Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond, ICLR, "
    "arxiv.org/abs/1908.03265",
    "recipe": "Karpathy 2019, A Recipe for Training Neural Networks, karpathy.github.io/2019/04/25/recipe",
    "resnet": "He et al. 2016, Deep Residual Learning for Image Recognition, CVPR, arxiv.org/abs/1512.03385",
    "sgdr": "Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR, "
    "arxiv.org/abs/1608.03983",
    "smoothing": "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, CVPR, "
    "arxiv.org/abs/1512.00567",
    "stable": "Wortsman et al. 2023, Stable and Low-Precision Training for Large-Scale Vision-Language Models, "
    "NeurIPS, arxiv.org/abs/2304.13013",
    "synchronous": "Chen et al. 2016, Revisiting Distributed Synchronous SGD, arxiv.org/abs/1604.00981",
    "vit22b": "Dehghani et al. 2023, Scaling Vision Transformers to 22 Billion Parameters, ICML, "
    "arxiv.org/abs/2302.05442",
}

# Only where the name says more than the change does.
OF_REMEDY: Mapping[str, tuple[str, ...]] = {
    "lower-learning-rate": ("edge", "playbook", "cs231n"),
    "raise-learning-rate": ("cs231n", "playbook"),
    "use-larger-batches": ("noise_scale", "goyal"),
    "use-smaller-batches": ("noise_scale",),
    "use-fewer-rounds": ("boosting_stop",),
    "train-longer": ("playbook",),
    "resume-before-the-fault": ("palm", "bloom"),
    "skip-bad-batches": ("palm",),
    "check-labels": ("recipe", "confident"),
}
OF_CHANGE: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("playbook", "edge", "cs231n"),
    "optimizer": ("adamw",),
    "batch_size": ("noise_scale", "goyal"),
    "gradient_accumulation_steps": ("noise_scale", "goyal"),
    "warmup_steps": ("goyal", "radam"),
    "lr_schedule": ("sgdr", "playbook"),
    "gradient_clip_norm": ("clip", "playbook"),
    "activation=relu": ("he",),
    "activation=leaky_relu": ("leaky", "he"),
    "activation=gelu": ("gelu",),
    "weight_init=he": ("he",),
    "weight_init=xavier": ("glorot",),
    "weight_init=orthogonal": ("orthogonal",),
    "weight_init=zeros_last_layer": ("recipe",),
    "bias_init=log_class_prior": ("focal", "recipe"),
    "normalization=batch": ("batch_norm",),
    "normalization=layer": ("layer_norm",),
    "normalization=qk": ("qk", "vit22b"),
    "normalization=embedding": ("embedding_norm", "bloom"),
    "residual": ("resnet",),
    "dropout": ("dropout",),
    "weight_decay": ("adamw",),
    "early_stopping": ("prechelt",),
    "data_augmentation": ("mixup",),
    "class_weight": ("balanced", "imbalance"),
    "sampling": ("imbalance",),
    "loss=focal": ("focal",),
    "loss=huber": ("huber",),
    "loss=generalized_cross_entropy": ("noisy_labels",),
    "loss": ("recipe",),
    "z_loss": ("palm",),
    "label_smoothing": ("smoothing",),
    "input_normalization": ("lecun", "recipe"),
    "target_normalization": ("lecun",),
    "output": ("recipe",),
    "zero_grad": ("recipe",),
    "trainable": ("recipe",),
    "resume_from_step": ("palm", "bloom"),
    "skip_batches": ("palm",),
    "precision": ("bfloat16",),
    "skip_nonfinite": ("stable",),
    "beta2": ("stable", "molybog"),
    "adam_beta2": ("stable", "molybog"),
    "gradient_staleness": ("synchronous",),
    "replicas": ("synchronous",),
    "labels": ("confident", "recipe"),
    "inputs": ("recipe",),
    "split": ("leakage",),
    "batching": ("packing",),
    "hidden_width": ("recipe",),
    "hidden_layers": ("recipe",),
}


def references_of(remedy_name: str, change: Mapping[str, Any]) -> tuple[str, ...]:
    """At most ``MOST`` sources, those of the remedy's name before those of what it changes.

    Of several keys each one's best source comes first, so that no key takes all the places.
    """
    ranked = [OF_REMEDY.get(remedy_name, ()), *(_of_key(key, value) for key, value in change.items())]
    return tuple(PAPERS[name] for name in list(dict.fromkeys(_in_turn(ranked)))[:MOST])


def _of_key(key: str, value: Any) -> tuple[str, ...]:
    if key == "loss" and str(value).startswith("z-loss"):
        return OF_CHANGE["z_loss"]
    return OF_CHANGE.get(f"{key}={str(value).lower()}", OF_CHANGE.get(key, ()))


def _in_turn(ranked: list[tuple[str, ...]]) -> Iterator[str]:
    for place in range(MOST):
        yield from (names[place] for names in ranked if place < len(names))
