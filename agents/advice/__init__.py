"""A language model's ideas: asked for beside the trials, several at a time, mended where that leaves no doubt, and kept
in stock until the planner's share has room for them.
"""
