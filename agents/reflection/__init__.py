"""Reflection: what outcomes teach, found by rules and language models alike, and held to the numbers by code.

One file a member: the grader says how each trial did, the reflector reads it, critics are asked where something went
wrong or the two disagree, the judge makes one lesson and one experiment of what they found, the curator keeps what was
learned. Sources: itemised lessons with counters, ACE (arXiv 2510.04618) and ExpeL (2308.10144); several critics and a
judge, MAR (2512.20845); outcomes as the only grade, TradingGroup (2508.17565).
"""
