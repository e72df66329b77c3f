"""The ground of the suites: servers to test, stores behind them, and clients that aren't Python libraries."""
