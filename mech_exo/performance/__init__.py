"""What was earned, at which risk and cost: pure functions over arrays, shared by backtests and live reports."""
