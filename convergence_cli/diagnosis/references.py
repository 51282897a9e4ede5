"""Where each remedy comes from: data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HE = "He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852"
GLOROT = "Glorot and Bengio 2010, Understanding the Difficulty of Training Deep Feedforward Networks, AISTATS"
PLAYBOOK = "Godbole et al. 2023, Deep Learning Tuning Playbook, github.com/google-research/tuning_playbook"
GOYAL = "Goyal et al. 2017, Accurate, Large Minibatch SGD, arXiv:1706.02677"
KARPATHY = "Karpathy 2019, A Recipe for Training Neural Networks, karpathy.github.io/2019/04/25/recipe"
PALM = "Chowdhery et al. 2022, PaLM, section 5.1, arXiv:2204.02311"
LECUN = "LeCun et al. 1998, Efficient BackProp"

_BY_REMEDY: Mapping[str, tuple[str, ...]] = {
    "mend-schedule": (PLAYBOOK, "Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983"),
    "lower-learning-rate": (PLAYBOOK, "Cohen et al. 2021, Gradient Descent at the Edge of Stability, arXiv:2103.00065"),
    "raise-learning-rate": (PLAYBOOK, "Smith 2017, Cyclical Learning Rates, arXiv:1506.01186"),
    "add-warmup": (GOYAL, "Liu et al. 2020, On the Variance of the Adaptive Learning Rate, arXiv:1908.03265"),
    "decay-learning-rate": ("Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983",),
    "clip-gradients": ("Pascanu et al. 2013, On the Difficulty of Training RNNs, arXiv:1211.5063", PLAYBOOK),
    "resume-before-the-fault": (PALM, "Le Scao et al. 2022, BLOOM, arXiv:2211.05100"),
    "lower-beta2": ("Wortsman et al. 2023, Stable and Low-Precision Training, arXiv:2304.13013",),
    "use-bfloat16": ("Kalamkar et al. 2019, A Study of BFLOAT16, arXiv:1905.12322",),
    "use-rectified-units": (HE, "Glorot et al. 2011, Deep Sparse Rectifier Neural Networks, AISTATS"),
    "use-leaky-relu": ("Maas et al. 2013, Rectifier Nonlinearities Improve Acoustic Models, ICML workshop", HE),
    "add-normalization": ("Ba et al. 2016, Layer Normalization, arXiv:1607.06450",),
    "normalize-queries-and-keys": (
        "Henry et al. 2020, Query-Key Normalization for Transformers, arXiv:2010.04245",
        "Dehghani et al. 2023, Scaling Vision Transformers to 22 Billion Parameters, arXiv:2302.05442",
    ),
    "add-z-loss": (PALM,),
    "standardize-inputs": (LECUN, KARPATHY),
    "standardize-targets": (LECUN,),
    "weight-classes": ("King and Zeng 2001, Logistic Regression in Rare Events Data, Political Analysis 9",
                       "Cui et al. 2019, Class-Balanced Loss, arXiv:1901.05555"),
    "sample-classes-evenly": ("Buda et al. 2018, A Systematic Study of the Class Imbalance Problem, arXiv:1710.05381",),
    "repair-labels": ("Northcutt et al. 2021, Confident Learning, arXiv:1911.00068", KARPATHY),
    "split-again": ("Kapoor and Narayanan 2023, Leakage and the Reproducibility Crisis, Patterns 4",),
    "repair-inputs": (KARPATHY,),
    "unfreeze-parameters": (KARPATHY,),
    "clear-gradients": ("PyTorch, Optimizer.zero_grad, docs.pytorch.org", KARPATHY),
    "update-synchronously": ("Chen et al. 2016, Revisiting Distributed Synchronous SGD, arXiv:1604.00981",),
    "synchronize-replicas": ("Li et al. 2020, PyTorch Distributed, arXiv:2006.15704",),
    "mend-loss": (KARPATHY,),
    "give-logits": ("PyTorch, CrossEntropyLoss, docs.pytorch.org", KARPATHY),
    "stop-early": ("Prechelt 1998, Early Stopping - But When?",),
    "use-fewer-rounds": ("Zhang and Yu 2005, Boosting with Early Stopping, Annals of Statistics 33",),
    "raise-weight-decay": ("Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101",),
    "lower-weight-decay": ("Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101",),
    "add-dropout": ("Srivastava et al. 2014, Dropout, JMLR 15",),
    "lower-dropout": ("Srivastava et al. 2014, Dropout, JMLR 15",),
    "train-longer": ("Hoffmann et al. 2022, Training Compute-Optimal Large Language Models, arXiv:2203.15556",),
    "use-smaller-batches": ("Shallue et al. 2019, Measuring the Effects of Data Parallelism, arXiv:1811.03600",),
    "use-larger-batches": (
        "McCandlish et al. 2018, An Empirical Model of Large-Batch Training, arXiv:1812.06162", GOYAL),
    "widen-network": (KARPATHY,),
    "bucket-by-length": ("Krell et al. 2021, Efficient Sequence Packing, arXiv:2107.02027",),
}  # fmt: skip
_BY_INITIALIZATION = {"he": (HE,), "xavier": (GLOROT,)}


def references_of(remedy: str, change: Mapping[str, Any]) -> tuple[str, ...]:
    """At most two sources of ``remedy``."""
    if remedy in _BY_REMEDY:
        return _BY_REMEDY[remedy][:2]
    return _BY_INITIALIZATION.get(str(change.get("weight_init")), ())
