"""Classical models on tables of features.

layouts    which arrays a model is, and their check
reference  what they predict
heads      a model as checked arrays, and its prediction

select     which columns repeat no other
steps      standardising and selecting as steps of scikit-learn
models     the pipelines
folds      inner folds
fit        the way from rows to a fitted model
export     a fitted model as arrays
search     hyper-parameters by nested cross-validation
chain      the nystroem model on arrays that stay on a GPU
warn       what is wrong, or may be, with a table of features
"""
