"""Networks in plain JAX. Importing a module of this folder brings JAX.

network   the layers: pure functions of parameters, state and images
trained   a network with its weights: grey levels in, probabilities out
fit       how it is trained
"""
