"""Networks in plain JAX. Importing a module of this folder brings JAX.

network     the layers: pure functions of parameters, state and images
winograd    the 3x3 convolution in fewer products, for CPUs
loss        what the outputs mean, task by task
trained     a network with its weights: grey levels in, probabilities and features out
fit         how it is trained: the loop over the epochs (training) and, of each step (step),
            the views (augment) and the rate (schedule)
resident    where the training images lie
history     figures, and the choice of an epoch
checkpoint  a training on disk
"""
