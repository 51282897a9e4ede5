"""The fault lab: real trainings of small torch models, each with one known fault, or with none.

``run_of`` trains one into a folder that looks like a user's run; ``trained`` keeps what this process has trained.
"""

from __future__ import annotations

from lab.runs import Truth, run_of, trained

__all__ = ["Truth", "run_of", "trained"]
