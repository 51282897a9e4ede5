"""All runs at a path at once, as ``reading`` finds them unit by unit."""

from __future__ import annotations

from convergence_cli.readers.discover import Found, candidates_of, listing, no_log, single


def discover(path: str, *, patterned: bool = False) -> Found:
    """The runs at ``path`` (a file, a folder, or one of ``STANDARD_INPUT``).

    ``patterned``: a pattern will say how to read text: a file named by itself is read by it, in a folder those
    that no other reader knows. Raises ``SourceError`` where the path is missing or holds no log at all.
    """
    found = listing(path)
    if found.source is not None:
        return Found((single(found.source, patterned),), ())
    told = candidates_of(found.groups, patterned=patterned, alone=len(found.groups) == 1)
    if not told.candidates and not told.errors and not found.errors:
        raise no_log(found)
    return Found(told.candidates, (*found.errors, *told.errors))
