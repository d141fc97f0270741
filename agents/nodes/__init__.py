"""The team, one member a file. Each ``make_*`` closes over what its node needs and returns the node.

A node looks at the journal first, does one step, writes it down and returns; running it again for the same
journal does nothing twice.
"""
