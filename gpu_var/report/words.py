"""The words of the report."""

MEASURE = {"var": "value at risk", "es": "expected shortfall", "worst": "worst loss"}

SCALING = {
    "full": "Past returns, each divided by the volatility of its day and multiplied by that of today",
    "mid": "Past returns, each rescaled half-way from the volatility of its day to that of today",
    "none": "Past returns as they were, not rescaled to the volatility of today",
}

CHARGES = {
    "diversification": (
        "Diversification",
        "What is not recognised of the saving from holding several underlyings: (1 − cap) × (Σ of each one's core alone"
        " − core).",
    ),
    "dependence": (
        "Dependence",
        "A share of how much the Monte Carlo measure rises where one number drives every factor, or the factors are "
        "independent.",
    ),
    "correlation_break": (
        "Correlation break",
        "How far the historical measure differs between windows of the look-back.",
    ),
    "gamma_charge": ("Gamma charge", "The second-order loss of net short options in a move of the spot either way."),
    "vega_charge": (
        "Vega charge",
        "The loss of net short options in a move of their volatility.",
    ),
    "short_option_minimum": ("Short option minimum", "What lifts the margin to a minimum for each short option."),
    "procyclicality": (
        "Procyclicality",
        "What is added in calm markets so that the margin does not rise most when markets are under most stress.",
    ),
}
"""Charge column -> its name and what it is; `gpu_var/margin/` has the formulas."""

STANDING = {
    "liquidation": ("To be liquidated", "collateral below the maintenance requirement"),
    "call": ("Margin calls", "collateral below the requirement"),
}
