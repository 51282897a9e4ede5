"""What runs inside a user's training: the PyTorch recorder, and a callback for each framework."""
