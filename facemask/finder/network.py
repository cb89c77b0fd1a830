"""The finder's network: a small fully convolutional one with three levels and no anchors.

After YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 20) and FCOS (Tian et al. 2019, arXiv 1904.01355): every cell of three grids says how
likely it is the middle of a face, and where that face's box lies. Finer grids get what the coarser
ones know (feature pyramid, Lin et al. 2017, arXiv 1612.03144). Early layers are plain convolutions
with few channels, which CPUs run best; the late ones are separable (Chollet 2017,
arXiv 1610.02357), 5 x 5, so that a face that fills the photo is seen whole.
"""

from typing import TypeAlias

import keras
from keras import layers

from facemask.photos.finder import STRIDES

Tensor: TypeAlias = keras.KerasTensor
FIRST = -4.6  # score logit before training: one cell in a hundred is a face
FIRST_BOX = (0.5, 0.5, 1.4, 1.4)  # and its box in the middle of the cell, 4 cells wide and high


def network(width: int = 24) -> keras.Model:
    """Build the network.

    Args:
        width: channels at stride 4; the deeper ones have more.

    Returns:
        A model from RGB pictures float32 (B, H, W, 3), 0..255, H and W multiples of 32, to six
        maps: for each of STRIDES s, `score_s` (B, H/s, W/s, 1), a logit, and `box_s`
        (B, H/s, W/s, 4): x and y of the box's centre from the cell's left top corner, and the
        logarithms of its width and height, all in cells. `decode` turns them into boxes.
    """
    picture = layers.Input((None, None, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, offset=-1)(picture)
    x = _convolve(x, 16, stride=2)
    x = _convolve(x, width, stride=2)
    x = layers.Add()([x, _convolve(x, width)])
    x = _convolve(x, 2 * width, stride=2)
    x = layers.Add()([x, _convolve(x, 2 * width)])
    fine = layers.Add()([x, _separable(x, 2 * width, 3)])
    x = _separable(fine, 64, 5, stride=2)
    x = layers.Add()([x, _separable(x, 64, 5)])
    middle = layers.Add()([x, _separable(x, 64, 5)])
    x = _separable(middle, 96, 5, stride=2)
    x = layers.Add()([x, _separable(x, 96, 5)])
    coarse = layers.Add()([x, _separable(x, 96, 5)])

    channels = 48
    coarse = _convolve(coarse, channels, kernel=1)
    middle = _join(_convolve(middle, channels, kernel=1), coarse)
    fine = _join(_convolve(fine, channels, kernel=1), middle)
    outputs = {}
    for stride, level in zip(STRIDES, (fine, middle, coarse)):
        level = _separable(level, channels, 3)
        outputs[f"score_{stride}"] = layers.Conv2D(
            filters=1, kernel_size=1, name=f"score_{stride}",
            bias_initializer=keras.initializers.Constant(FIRST),
        )(level)  # fmt: skip
        box = layers.Conv2D(filters=4, kernel_size=1, name=f"box_{stride}")
        outputs[f"box_{stride}"] = box(level)
        box.bias.assign(FIRST_BOX)
    return keras.Model(picture, outputs, name="finder")


def _convolve(x: Tensor, filters: int, kernel: int = 3, stride: int = 1) -> Tensor:
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.98)(x))


def _separable(x: Tensor, filters: int, kernel: int, stride: int = 1) -> Tensor:
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.98)(x))
    return _convolve(x, filters, kernel=1)


def _join(finer: Tensor, coarser: Tensor) -> Tensor:
    """A level with what the coarser one knows added, each of its cells for four."""
    x = layers.Add()([finer, layers.UpSampling2D(size=2, interpolation="nearest")(coarser)])
    return _separable(x, x.shape[-1], 3)


def flat(model: keras.Model) -> keras.Model:
    """The same network with one output (B, cells, 5 + 15), as `targets` and a teacher have them.

    Cells go level by level as in STRIDES, each level row by row: score and box, and then what a
    teacher says of the cell (`teachers.yunet_maps`; a logit for its score), by heads that only
    training has.
    """
    levels = []
    for stride in STRIDES:
        parts = [model.output[f"{kind}_{stride}"] for kind in ("score", "box")]
        seen = model.get_layer(f"score_{stride}").input
        like = layers.Conv2D(filters=15, kernel_size=1, name=f"like_{stride}")
        parts.append(like(seen))
        like.bias.assign([FIRST, *FIRST_BOX, *[0.5] * 10])
        levels.append(layers.Reshape((-1, 20))(layers.Concatenate()(parts)))
    return keras.Model(model.input, layers.Concatenate(axis=1)(levels), name="flat")
