"""The nouns: panels, scores, targets, orders, portfolios, limits, verdicts and errors. Frozen values, no I/O."""
