"""What the suites stand on: servers to test, stores behind them, and clients that are no libraries."""
