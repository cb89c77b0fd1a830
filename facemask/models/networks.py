"""The two networks: the field's usual CNN as the baseline, and the project's compact one.

Both take raw RGB pixels, 0..255, and scale them to 0..1 themselves, so that an exported model
needs no preprocessing but a resize.
"""

import keras
import numpy as np
from keras import layers


def baseline(image_size: int, classes: int) -> keras.Model:
    """The CNN of the field's notebooks: Conv2D 32/64/128, Flatten, Dense 128, Dropout.

    Args:
        image_size: side of the square input in pixels.
        classes: number of outputs, 2 or 3.

    Returns:
        A model from float32 (N, image_size, image_size, 3), 0..255, to softmax (N, classes).
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters=filters, kernel_size=3, activation="relu")(x)
        x = layers.MaxPooling2D(pool_size=2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(units=128, activation="relu")(x)
    x = layers.Dropout(rate=0.5)(x)
    outputs = layers.Dense(units=classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="baseline")


def compact(
    image_size: int | None, classes: int, width: float = 1, depth: int = 1
) -> keras.Model:
    """The project's own CNN: 120,000 parameters at any size, for a phone, a page or a service.

    The first layer halves the picture at once, which keeps the costly early layers small. Batch
    normalisation lets it train fast, and folds into the convolutions on export. Global average
    pooling in place of Flatten is what saves the baseline's 1.6 million weights.

    Args:
        image_size: side of the square input in pixels; None takes any.
        classes: number of outputs, 2 or 3.
        width: factor on the number of filters.
        depth: convolutions at each of the two smallest resolutions, where they cost little time.

    Returns:
        A model from float32 (N, image_size, image_size, 3), 0..255, to softmax (N, classes).
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = layers.Rescaling(1 / 255)(inputs)
    x = _convolve(x, filters=round(16 * width), strides=2)
    x = _convolve(x, filters=round(24 * width))
    x = layers.MaxPooling2D(pool_size=2)(x)
    x = _convolve(x, filters=round(48 * width))
    x = _convolve(x, filters=round(48 * width))
    x = layers.MaxPooling2D(pool_size=2)(x)
    for _ in range(depth):
        x = _convolve(x, filters=round(64 * width))
    x = layers.MaxPooling2D(pool_size=2)(x)
    for _ in range(depth):
        x = _convolve(x, filters=round(96 * width))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(rate=0.3)(x)
    outputs = layers.Dense(units=classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="compact")


def _convolve(x: keras.KerasTensor, filters: int, strides: int = 1) -> keras.KerasTensor:
    """Convolution, batch normalisation (which replaces the bias) and ReLU."""
    x = layers.Conv2D(
        filters=filters, kernel_size=3, strides=strides, padding="same", use_bias=False
    )(x)
    x = layers.BatchNormalization(momentum=0.98)(x)
    return layers.ReLU()(x)


MODELS = {"baseline": baseline, "compact": compact}


def multiply_adds(model: keras.Model) -> int:
    """Multiplications with an addition that one picture takes in convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total
