"""The plan by a language model: what it is shown, what it may answer, and what code makes of the answer."""
