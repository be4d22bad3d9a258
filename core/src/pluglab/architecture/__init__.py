"""What a trainer's networks are made of: found (`describing`), kept as plain data (`networks`), and written
(`text`).

Only `describing` imports torch: what a run has left behind is read without.
"""
