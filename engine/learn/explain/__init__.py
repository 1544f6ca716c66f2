"""Why a model scores as it does, as far as that can be shown. Nothing here is imported at once.

cases       images, a model and its training data: all of the below
gradcam     which places of the network's map speak for a class           brings JAX
integrated  how much each pixel adds to a class's logit                   brings JAX
score       the logit that both explain, in batches                       brings JAX
waists      where a network can be cut in two                             brings JAX
importance  what the scores lose when a family of features is shuffled    NumPy alone
tree        a decision tree in the features' own units, as rules          NumPy alone
nearest     the training images most like an image                        NumPy alone
"""
