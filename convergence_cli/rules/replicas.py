"""DI1xx: several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.replicas import Replicas
    from convergence_cli.model import Finding

DIFFERENCE = 1e-7


@rule("DI101", "replicas-differ", severity="error", since="0.1")
def replicas_differ(replicas: Replicas) -> Iterator[Finding]:
    """The workers of a data-parallel run hold different weights.

    What it checks
        Mean, spread, extremes and norm of each weight on each worker, at the steps that both dumped.

    Why it matters
        Replicas that part train different models; what is averaged, evaluated or saved is then none of them.

    How it decides
        Any difference above 1e-7 of the weight's root mean square: replicas start equal and take equal steps, to
        the last bit. Running statistics of normalisation layers are left out.

    Known false alarms
        Dumps of sharded weights (FSDP, ZeRO 3, tensor parallel), where each worker holds its own part.

    References
        TrainCheck (Jiang et al. 2025), relation "variable consistency"; BigScience's BLOOM log (clipping on
        one rank, found after 10 days).
    """
    apart = [one for one in replicas.apart if one.difference > DIFFERENCE]
    for one, more in shown(apart, "tensor"):
        when = "already at the first dump" if one.from_start else f"from step {one.first_step:g} on"
        yield finding(
            f"{one.layer} differs between workers {one.workers[0]} and {one.workers[1]} {when}, by "
            f"{one.difference:.2g} of its root mean square{more}; "
            f"{replicas.compared} tensors of {replicas.workers} workers were compared.",
            severity="error",
            confidence=0.7 if one.from_start else 0.95,
            evidence={
                "side": "from-start" if one.from_start else "later",
                "difference": one.difference,
                "threshold_difference": DIFFERENCE,
                "workers": replicas.workers,
                "tensors_apart": len(apart),
                "tensors_compared": replicas.compared,
            },
            series=f"weight/{one.name}",
            layer=one.layer,
            first_step=one.first_step,
        )
