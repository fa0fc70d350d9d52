"""What the portfolio method saves: the same accounts under other ways to margin them.

Every method's margin is the equity that an account needs, the account's options and spot counted at today's prices, so
the methods can be set against each other and against what the account has.
"""

from gpu_var.margin.compare.comparison import METHODS, Comparison, Total, broad_index, compare, totals_of

__all__ = ["METHODS", "Comparison", "Total", "broad_index", "compare", "totals_of"]
