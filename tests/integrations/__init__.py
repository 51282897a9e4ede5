"""The recorder's callbacks in real trainings of their frameworks; needs what ``requirements.txt`` beside this lists."""
