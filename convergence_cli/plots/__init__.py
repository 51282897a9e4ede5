"""Pictures with matplotlib, one file a picture: functions from data to a figure. Nothing here reads or writes a file.

The exception is ``dumped``, which reads the tensors themselves for the pictures that need them. ``door`` is what others
import: it needs no matplotlib until a picture is asked for.
"""
