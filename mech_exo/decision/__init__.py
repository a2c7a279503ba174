"""The decision: scores → targets → verdict → orders. No clock, no I/O, no chance, and one path for every mode.

``rows`` is the compiled decision over one session's cross-section, ``strategy`` the configuration it obeys and the
features it reads, ``record`` the audit row it leaves.
"""
