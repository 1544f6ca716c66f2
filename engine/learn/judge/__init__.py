"""How good probabilities are, and how far to trust them; NumPy and SciPy alone.

    metrics      every figure with its interval; calling classes; thresholds
      bootstrap  stratified resamples of rows or whole groups, as weights
      ranking    AUC and average precision of weighted rows
      counts     accuracy, sensitivity, specificity, F1 and kappa of weighted rows
    calibration  reliability, ECE, Brier; temperature scaling
    paired       two models on the same rows: DeLong, McNemar
    operating    thresholds for a wanted sensitivity or specificity; net benefit
    selective    risk against coverage
    conformal    sets of classes with a promised coverage
    novelty      how unlike the training rows a row is
    subgroups    the figures of parts of the rows

What is fitted here (thresholds, temperatures, quantiles, limits) is fitted on validation rows.
"""
