"""The pages of ``exo dash``: everything read-only from the ledger, the published snapshot and the saved runs. Nothing here can trade."""
