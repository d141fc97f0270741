"""Work of language models that goes on beside the trials, so that no device waits for an answer."""
