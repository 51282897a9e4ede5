"""From paths to runs: which logs are one run, which tensors belong to it, and the runs themselves."""
