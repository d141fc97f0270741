"""Tell it a task and a budget in plain words; it plans, reviews, runs and reproduces a fine-tuning study."""

__version__ = "0.1.0"
