"""AC104 and AC105: logits of attention and of the output that grow until a softmax cannot tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.logits import AttentionLogits, OutputLogits, OutputReach, Reach
    from convergence_cli.model import Finding, Verdict

ATTENTION = 50.0
ATTENTION_GROWTH = 4.0
FAST_ATTENTION = 20.0
FAST_ATTENTION_GROWTH = 10.0
ATTENTION_EXTREME = 200.0
LOGIT = 100.0
LOGIT_GROWTH = 10.0
FAST_LOGIT = 30.0
FAST_LOGIT_GROWTH = 20.0
LOGIT_EXTREME = 1000.0
DRIFT = 30.0
DRIFT_GROWTH = 2.0
DRIFT_RATIO = 4.0
LATE_GROWTH = 1.1
FAST_LATE_GROWTH = 1.75
MIN_DUMPS = 4


@rule("AC104", "attention-logit-growth", severity="error", since="0.1")
def attention_logit_growth(attention_logits: AttentionLogits, verdict: Verdict) -> Iterator[Finding]:
    """Attention logits grow until each query looks at one key alone.

    What it checks
        The largest attention logit (before the softmax) of each layer over the dumps, of tensors whose names
        hold "attention" or "attn" with "logits", "scores" or "qk". Fills of a mask lie below and do not count.

    Why it matters
        A softmax answers to differences: at 50 nats it is one-hot, its entropy is 0 and its gradient
        vanishes. In large models this precedes divergence.

    How it decides
        At least 50 over the last third of at least four dumps, and 4 times the level of the first third
        (which counts as at least 1); or at least 20, 10 times that level, and up by three quarters within
        the last third. An error where the run is stuck or diverges, or where there is no loss
        to judge by and they reach 200; a warning in other runs; in a run that converges a note.

    Known false alarms
        Logits dumped before they are divided by the square root of the head's width.

    References
        Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters", section 2; Zhai et al.
        2023, "Stabilizing Transformer Training by Preventing Attention Entropy Collapse"; Wortsman et al.
        2023, section 3.1.
    """
    found = [one for one in attention_logits.layers if one.dumps >= MIN_DUMPS and _attention_grows(one)]
    found.sort(key=lambda one: -one.late)
    for one, more in shown(found):
        high = one.lasting >= ATTENTION
        limit, growth = (ATTENTION, ATTENTION_GROWTH) if high else (FAST_ATTENTION, FAST_ATTENTION_GROWTH)
        since = one.since(limit)
        yield finding(
            f"{one.series.layer}: its largest attention logit grew from {one.early:.3g} to {one.reach[-1]:.3g} at step "
            f"{one.series.step[-1]:g} (above {limit:g} since step {since:g}){more}.",
            severity=graded(verdict, strong=one.lasting >= ATTENTION_EXTREME),
            confidence=0.85 if high else 0.65,
            evidence={
                "early": one.early,
                "late": one.late,
                "growth": round(one.growth, 2),
                "threshold_growth": growth,
                "lasting": one.lasting,
                "threshold_logit": limit,
                "dumps": one.dumps,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=since,
        )


def _attention_grows(one: Reach) -> bool:
    if one.lasting >= ATTENTION and one.growth >= ATTENTION_GROWTH:
        return True
    fast = one.growth >= FAST_ATTENTION_GROWTH and one.late_growth >= FAST_LATE_GROWTH
    return fast and one.lasting >= FAST_ATTENTION


@rule("AC105", "output-logit-growth", severity="error", since="0.1")
def output_logit_growth(output_logits: OutputLogits, verdict: Verdict) -> Iterator[Finding]:
    """The output logits run away: they grow without end, or drift off zero all together.

    What it checks
        The largest magnitude of the output logits, and the size of their mean against their spread, over the
        dumps, of outputs that are logits of classes (by name, or by the labels dumped beside them).

    Why it matters
        Logits of hundreds make the loss all or nothing and its gradient steps; logits that drift together do
        not change the softmax, so that nothing holds them until their differences drown in the number format.

    How it decides
        Side growth: at least 100 over the last third of at least four dumps, and 10 times the level of the
        first third (which counts as at least 1); or at least 30, 20 times that level, and up by three quarters
        within the last third. Classifiers that become sure reach 20 to 40, and slowly. Side drift: the
        mean lies at least 30 off zero and 4 times the spread, has doubled since the first third and still
        grows. An error where the run is stuck or diverges, or where there is no loss to judge by and they
        reach 1000; a warning in other runs; in a run that converges a note.

    Known false alarms
        Language models without bias or z-loss settle at a common offset of tens: it must still grow.

    References
        Chowdhery et al. 2022 (PaLM), section 5 (z-loss); Wortsman et al. 2023, section 3.2.
    """
    for one in output_logits.outputs:
        side = _side(one)
        if side is None:
            continue
        reach = one.size if side == "growth" else one.offset
        high = LOGIT if one.size.lasting >= LOGIT else FAST_LOGIT
        limit = high if side == "growth" else DRIFT
        growth = {LOGIT: LOGIT_GROWTH, FAST_LOGIT: FAST_LOGIT_GROWTH}[high] if side == "growth" else DRIFT_GROWTH
        since = reach.since(limit)
        what = "largest output logit" if side == "growth" else "mean of the output logits"
        verb = "grew" if side == "growth" else "drifted"
        yield finding(
            f"{reach.series.layer}: the {what} {verb} from {reach.early:.3g} to {reach.reach[-1]:.3g} in size at step "
            f"{reach.series.step[-1]:g} (above {limit:g} since step {since:g}).",
            severity=graded(verdict, strong=one.size.lasting >= LOGIT_EXTREME),
            confidence=0.8,
            evidence={
                "early": reach.early,
                "late": reach.late,
                "growth": round(reach.growth, 2),
                "threshold_growth": growth,
                "lasting": reach.lasting,
                "threshold_logit": limit,
                "offset_over_spread": one.relative_offset,
                "threshold_offset_over_spread": DRIFT_RATIO if side == "drift" else None,
                "dumps": reach.dumps,
                "side": side,
            },
            series=reach.series.title,
            layer=reach.series.layer,
            first_step=since,
        )


def _side(one: OutputReach) -> str | None:
    size, offset = one.size, one.offset
    if size.dumps < MIN_DUMPS:
        return None
    apart = offset.lasting >= DRIFT and one.relative_offset >= DRIFT_RATIO
    if apart and offset.growth >= DRIFT_GROWTH and offset.late_growth >= LATE_GROWTH:
        return "drift"
    if size.lasting >= LOGIT:
        return "growth" if size.growth >= LOGIT_GROWTH else None
    fast = size.growth >= FAST_LOGIT_GROWTH and size.late_growth >= FAST_LATE_GROWTH
    return "growth" if fast and size.lasting >= FAST_LOGIT else None
