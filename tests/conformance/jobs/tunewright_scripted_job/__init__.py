"""A job that does what its input says: what sandboxes are tested with."""
