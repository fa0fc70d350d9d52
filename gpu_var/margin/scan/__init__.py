"""The scan: what an underlying's position loses on a grid of price and volatility moves."""
