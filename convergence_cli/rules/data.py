"""DA101 and DA105: the scale of inputs, and how much of them is padding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.printable import printable
from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, sure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.inputs import Input, Inputs
    from convergence_cli.features.tensors.labels import Tokens
    from convergence_cli.model import Finding, Verdict

INPUT_RMS = 10.0
INPUT_OFFSET = 5.0
INPUT_SPREAD = 100.0
# Offsets and spreads within this scale do no harm.
INPUT_SMALL = 3.0
PADDING = 0.5
PADDING_VOCABULARY = 4
TOKEN = 0.9
TOKEN_VOCABULARY = 32


@rule("DA101", "unnormalized-input", severity="error", since="0.1")
def unnormalized_input(inputs: Inputs, verdict: Verdict) -> Iterator[Finding]:
    """The inputs are far from the scale that networks are initialized for.

    What it checks
        Of each floating-point input: its root mean square, how many standard deviations the mean of a feature
        lies off zero (median over the features), and the features' largest standard deviation over their
        smallest. Features that never vary are ignored; integers (tokens, pictures of 0 to 255) are not looked
        at, for they are embedded or scaled inside.

    Why it matters
        Initializations and learning rates assume inputs of about unit scale. Large ones saturate the first
        layer and make its gradients as large; offsets and uneven scales stretch the loss into a narrow valley.

    How it decides
        In every dump: a root mean square above 10; or, where it is above 3, an offset above 5, or a spread above
        100 of features in columns, of at least 16 samples. Data in [0, 1], standardised data, one-hot codes and
        small counts are silent, and so is a network that scales its input in its first layer. An error where
        the run is stuck or diverges; a warning in other runs; in a run that converges a note.
        Side: scale, offset, spread.

    Known false alarms
        Networks whose first layer normalises, if that layer's output is not dumped.

    References
        LeCun, Bottou, Orr and Müller 1998, "Efficient BackProp", section 4.3; SageMaker Debugger, rule
        CheckInputImages (mean within 0.2, for pictures only).
    """
    for one in inputs.inputs:
        side = None if one.scaled_inside else _side_of_input(one)
        if side is None:
            continue
        values = {"scale": one.rms, "offset": one.offset, "spread": one.spread}
        limits = {"scale": INPUT_RMS, "offset": INPUT_OFFSET, "spread": INPUT_SPREAD}
        what = {
            "scale": "its root mean square is at least",
            "offset": "half of its features lie off zero, in their standard deviations, by",
            "spread": "the standard deviations of its features differ by a factor of",
        }[side]
        yield finding(
            f"{one.series.title}: {what} {values[side]:.3g} in each of {one.dumps} dump{'s' * (one.dumps > 1)} from "
            f"step {one.series.step[0]:g} on (threshold {limits[side]:g}; mean {one.mean:.3g}, standard deviation "
            f"{one.std:.3g}).",
            severity=graded(verdict, strong=False),
            confidence=sure(0.85 if side == "scale" else 0.7, one.dumps),
            evidence={
                "rms": one.rms,
                "threshold_rms": INPUT_RMS,
                "offset": _known(one.offset),
                "threshold_offset": INPUT_OFFSET,
                "spread": _known(one.spread),
                "threshold_spread": INPUT_SPREAD,
                "mean": _known(one.mean),
                "std": _known(one.std),
                "dumps": one.dumps,
                "side": side,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=float(one.series.step[0]),
        )


def _side_of_input(one: Input) -> str | None:
    # A few outliers make a large root mean square, and leave the bulk of the values where it is.
    if one.rms > INPUT_RMS and not one.bulk <= INPUT_RMS:
        return "scale"
    if not one.rms > INPUT_SMALL:
        return None
    if one.offset > INPUT_OFFSET:
        return "offset"
    return "spread" if one.features and one.spread > INPUT_SPREAD else None


@rule("DA105", "padded-sequences", severity="warning", since="0.1")
def padded_sequences(tokens: Tokens) -> Iterator[Finding]:
    """Most positions of the sequences are padding, or one and the same token.

    What it checks
        Of each input of tokens, in every dump: the share of positions in runs of one token at the ends (or
        beginnings) of rows, and the share of the most frequent other token.

    Why it matters
        Padding costs as much to compute as text and teaches nothing. One token everywhere else is a sign of a
        tokenizer that does not know the text.

    How it decides
        Padding at more than 50 % of the positions of each dump, with at least 4 different tokens; or another
        token at more than 90 %, with at least 32 different ones. A warning, for it wastes money in a run that
        converges too. Side: padding, token.

    Known false alarms
        Rows that are packed and masked, so that padding is skipped.

    References
        Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"; SageMaker Debugger, rule
        NLPSequenceRatio (50 % of token 0).
    """
    for one in tokens.sets:
        side = None
        if one.padding_share > PADDING and one.vocabulary >= PADDING_VOCABULARY:
            side = "padding"
        elif one.top_share > TOKEN and one.vocabulary >= TOKEN_VOCABULARY:
            side = "token"
        if side is None:
            continue
        name = printable(one.name)
        if side == "padding":
            message = (
                f"{name}: {100 * one.mean_padding_share:.0f} % of {one.positions} dumped positions are padding "
                f"(token {one.padding}), at least {100 * one.padding_share:.0f} % at each dump from step "
                f"{one.first_step:g} on (threshold {100 * PADDING:.0f} %): that share of the compute is lost."
            )
        else:
            message = (
                f"{name}: token {one.top} fills at least {100 * one.top_share:.0f} % of the positions at each dump "
                f"from step {one.first_step:g} on (threshold {100 * TOKEN:.0f} %), of {one.vocabulary} tokens."
            )
        yield finding(
            message,
            severity="warning",
            confidence=sure(0.85, one.dumps),
            evidence={
                "padding_share": round(one.mean_padding_share, 4),
                "threshold_padding_share": PADDING,
                "padding": one.padding,
                "token": one.top,
                "token_share": round(one.top_share, 4),
                "threshold_token_share": TOKEN,
                "vocabulary": one.vocabulary,
                "positions": one.positions,
                "dumps": one.dumps,
                "side": side,
            },
            series=f"input/{name}",
            layer=name,
            first_step=one.first_step,
        )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
