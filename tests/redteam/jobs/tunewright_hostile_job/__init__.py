"""A training whose code is hostile: what the host is tested with."""
