"""What rounding cost: comparisons, the quality report, golden prompts."""
