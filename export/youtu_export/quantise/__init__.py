"""How weights become codes and scales: recipes, and the layout of weights.bin."""
