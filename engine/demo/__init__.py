"""The demonstration: a cohort with a known ceiling, trained on, screened and reported."""
