"""How near ``lr-find`` and the public finders come to the best learning rate of dense sweeps."""
