"""A learning rate for a user's model: what drives trainings, apart from what is computed of how they ended."""
