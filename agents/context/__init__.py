"""A study's history, compressed to a token budget: what a prompt may say of five hundred trials.

The method is graph-prior compression (Zhou, Zhang et al., arXiv 2604.23277): pieces of text are nodes, edges join
mutual nearest neighbours and what stands next to each other, and a piece is kept for its relevance, for how well it
stands for its cluster, for bridging clusters and for lying on cycles, until the budget is spent. ``graph`` and
``selection`` say which numbers are the paper's and which are ours. No model and no network: similarity is TF-IDF over
words and, of trials, closeness of their settings.
"""
