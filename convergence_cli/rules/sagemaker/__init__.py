"""SM1xx: the rules of SageMaker Debugger with their documented defaults, for comparison (``--profile sagemaker``)."""

from __future__ import annotations

PROFILE = "sagemaker"
# These rules say yes or no and carry no measured confidence.
CONFIDENCE = 0.5
# Findings of one rule: further tensors repeat the worst.
MOST = 4
