"""Training: from a config to a bundle with its report; ``run.py`` is the story."""
