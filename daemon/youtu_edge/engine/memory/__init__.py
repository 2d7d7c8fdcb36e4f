"""The memory contract: the budget, what a model takes, and what is given back."""
