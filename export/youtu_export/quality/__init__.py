"""The cost of rounding: comparisons, the quality report, golden prompts."""
