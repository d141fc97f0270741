"""The team: planner, approval, proposer, trainer, evaluator, reflection, finisher. The only place that
imports langgraph and litellm. Agents hold no shell: they emit typed plans, and code they never touch
trains and measures.
"""
