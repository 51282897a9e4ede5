from __future__ import annotations
def feed_block(log, block):
    for line in block.decode("utf-8", "replace").split("\n")[:-1]:
        log.feed(line)
