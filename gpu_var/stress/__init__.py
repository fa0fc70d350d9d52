"""Stress-testing a clearing house's books: losses in scenarios, and the resources that stand before them."""
