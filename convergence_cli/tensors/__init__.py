"""Tensor dumps: one module a format, and the statistics that are taken in one pass over the bytes."""
