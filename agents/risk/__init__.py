"""What a proposal promises, how boldly the search is steered, and what bounds its losses: TradingGroup's forecaster,
style and risk manager (arXiv 2508.17565), for trials instead of trades.

One file a part. The forecaster and the style say something; only the risk manager does something, and what it may do is
code that no answer of a model moves. What may be spent is the ledger's alone (``domain.ledger``).
"""
