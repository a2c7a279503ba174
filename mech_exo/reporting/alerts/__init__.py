"""Delivery of what the ledger's outbox holds, by a process of its own: it alone writes delivery state, and HALT when it is told to."""
