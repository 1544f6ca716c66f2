"""How good probabilities are, with intervals; NumPy and SciPy alone.

metrics   AUC, accuracy, sensitivity, specificity
"""
