"""Company accounts: what the figures are called, how filings become facts, and what can be derived from facts known at a close."""
