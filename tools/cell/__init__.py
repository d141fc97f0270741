"""Runs Python programs that nobody has read, such as those that a model wrote: bounded, cut off, and one at a time."""
