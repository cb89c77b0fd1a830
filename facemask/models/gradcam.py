"""Where in a picture a Keras model sees its answer: Grad-CAM.

R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, arXiv 1610.02391, equations 1 and 2.
"""

import keras
import numpy as np
import tensorflow as tf

from facemask.images.crops import resize


def heat(
    model: keras.Model, images: np.ndarray, classes: np.ndarray | None = None
) -> np.ndarray:
    """How much each place speaks for a class, as the last feature maps show it.

    Each map of the last layer that still has width and height is weighted with the mean gradient
    of the class's score before the softmax; what remains positive of their sum is enlarged to the
    picture.

    Args:
        model: ends in a Dense layer with a softmax.
        images: uint8 RGB (N, S, S, 3), S being the model's.
        classes: the output to explain for each picture, int (N,); None for the likeliest.

    Returns:
        float32 (N, S, S), each picture from 0 to 1; all 0 where nothing speaks for the class.
    """
    maps = [layer.output for layer in model.layers if len(layer.output.shape) == 4][-1]
    last = model.layers[-1]
    both = keras.Model(model.input, [maps, last.input])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        pixels = tf.cast(images, tf.float32)
        tape.watch(pixels)
        features, inputs = both(pixels, training=False)
        scores = inputs @ last.kernel + last.bias
        if classes is None:
            classes = tf.argmax(scores, axis=1)
        chosen = tf.gather(scores, tf.cast(classes, tf.int32), batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, features), axis=(1, 2), keepdims=True)
    small = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
    return np.stack([_enlarge(one, images.shape[1]) for one in small])


def _enlarge(small: np.ndarray, size: int) -> np.ndarray:
    large = resize(small.astype(np.float32), size)
    return large / large.max() if large.max() > 0 else large
