"""Classical models on tables of features.

heads    a model as checked arrays, and its prediction
fit      how scikit-learn fits it
select   which columns take part
"""
