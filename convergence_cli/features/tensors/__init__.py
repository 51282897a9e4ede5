"""Features of dumped tensors: pure functions of ``TensorStats``."""
