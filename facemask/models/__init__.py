"""The networks, their training, and one way to run a model in any of its forms.

`classifier` runs a `.tflite` file without TensorFlow. May import `datasets` and what lies below.
Start with `networks`, then `train`.
"""
