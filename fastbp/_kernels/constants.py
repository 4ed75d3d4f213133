"""The numbers in the formulas of the activations, which converters to other libraries need too."""

LEAK = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., 2017
GELU_INNER, GELU_CUBIC = 0.7978845608028654, 0.044715  # √(2/π); Hendrycks and Gimpel, 2016
MISH_END = 20.0  # tanh(softplus z) is 1 from here on
