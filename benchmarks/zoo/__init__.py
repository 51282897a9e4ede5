"""The fault zoo: hundreds of small trainings with and without known faults, and the truth about each."""
