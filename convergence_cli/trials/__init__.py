"""Trying remedies: the change put into the command, a bounded process, its log, and what came of it."""
