"""Augmentation that hides what gives a data set away, and keeps what shows the mask.

In the usual sets the masked and the bare pictures differ in resolution, sharpness, colour and
framing as much as in the mask; a CNN learns those first and fails on faces from elsewhere. Every
training picture is therefore moved, resized, re-lit, blurred and re-encoded at random.
"""

import cv2
import numpy as np


def augment(
    image: np.ndarray, rng: np.random.Generator, background: np.ndarray | None = None
) -> np.ndarray:
    """Change one picture in ways that must not change its class.

    Args:
        image: uint8 RGB (S, S, 3).
        rng: the source of all randomness.
        background: uint8 RGB (S, S, 3), what lies behind a face that is moved away, and then
            moved far; without it the picture's own border is repeated or a colour laid round it.

    Returns:
        uint8 RGB (S, S, 3).
    """
    image = move(image, rng, background, far=background is not None)
    image = relight(image, rng)
    image = degrade(image, rng)
    return image


def augment_mildly(
    image: np.ndarray, rng: np.random.Generator, background: np.ndarray | None = None
) -> np.ndarray:
    """The face fills the frame; two in three keep their light, and two in three their sharpness.

    For the end of a training, on pictures more like those that come; the strongest changes taken
    away at last is an idea of YOLOX (Ge et al. 2021, arXiv 2107.08430). Takes a background as
    `augment` does, but lays none.
    """
    image = augment_lightly(image, rng)
    if rng.random() < 0.35:
        image = relight(image, rng)
    if rng.random() < 0.35:
        image = degrade(image, rng)
    return image


def augment_lightly(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The field's usual augmentation, for the baseline: mirror, turn, zoom and shift by a tenth."""
    size = image.shape[0]
    centre = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D(
        (centre, centre), rng.uniform(-18, 18), rng.uniform(0.9, 1.1)
    )
    matrix[:, 2] += rng.uniform(-0.1, 0.1, 2) * size
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)


def move(
    image: np.ndarray, rng: np.random.Generator, background: np.ndarray | None, far: bool = False
) -> np.ndarray:
    """Mirror, turn, shift, squeeze and zoom: a face may fill the frame or half of it.

    Args:
        far: a face may fill less than a third of the frame, and stand higher or lower in it, as
            one does that a face finder has cut out, or that nobody has.
    """
    size = image.shape[0]
    if far:
        zoom = rng.uniform(0.85, 1.35) if rng.random() < 0.55 else rng.uniform(0.28, 0.9)
        turn, bend, reach = 10, 0.08, np.array([0.08, 0.13])
    else:
        zoom = rng.uniform(0.85, 1.3) if rng.random() < 0.7 else rng.uniform(0.4, 0.9)
        turn, bend, reach = 9, 0.06, np.array([0.07, 0.07])
    angle = np.deg2rad(rng.normal(0, turn))
    squeeze = np.exp(rng.normal(0, bend))
    shear = rng.normal(0, 0.05)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    linear = zoom * np.array([[cos, -sin], [sin, cos]]) @ np.array(
        [[flip * squeeze, shear], [0, 1 / squeeze]]
    )
    # The more room a zoomed-out face leaves, the further it may stand from the middle.
    reach = reach + 0.35 * max(0.0, 1 - zoom)
    centre = np.array([(size - 1) / 2] * 2)
    shift = rng.uniform(-reach, reach, 2) * size
    matrix = np.column_stack([linear, centre + shift - linear @ centre])
    border = rng.choice([cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT])
    colour = rng.integers(0, 256, 3).tolist()
    # Shrinking without averaging first would leave aliasing that real small faces do not have.
    if zoom < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / zoom)
    if background is not None and rng.random() < 0.5:
        return cv2.warpAffine(
            image, matrix, (size, size), dst=background.copy(), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=int(border),
        borderValue=colour,
    )


def tighten(image: np.ndarray, rng: np.random.Generator, least: float) -> np.ndarray:
    """A window of a face's picture as if it were all of it, as of a face cut at brow and chin.

    A window that is no square is squeezed into one, as pictures of any shape are before they are
    judged.

    Args:
        image: uint8 RGB (S, S, 3).
        least: the shortest side of the window, as a share of S.

    Returns:
        uint8 RGB (S, S, 3).
    """
    size = image.shape[0]
    height, width = (size * rng.uniform(least, 1, 2)).astype(int)
    # Somewhere near the middle; of what is over more goes above, where the brow is, than below.
    top = int((size - height) * rng.uniform(0.3, 0.9))
    left = int((size - width) * rng.uniform(0.25, 0.75))
    window = np.ascontiguousarray(image[top : top + height, left : left + width])
    return cv2.resize(window, (size, size), interpolation=cv2.INTER_LINEAR)


def relight(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, gamma, colour cast and saturation, by one table per channel."""
    levels = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.1, 3))
    lift = rng.normal(0, 0.05)
    table = (levels[:, None] ** gamma * gain + lift).clip(0, 1) * 255
    image = cv2.LUT(image, table.astype(np.uint8)[None])
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        saturation = 0.0 if rng.random() < 0.2 else rng.uniform(0.3, 1.5)
        image = cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)
    return image


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resolution, blur, noise, JPEG and a covered patch: the camera and the way to us."""
    size = image.shape[0]
    if rng.random() < 0.6:
        small = int(size * np.exp(rng.uniform(np.log(0.2), 0)))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        back = rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=[0.6, 0.3, 0.1])
        image = cv2.resize(image, (size, size), interpolation=int(back))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2.0))
    elif rng.random() < 0.2:  # unsharp mask, as phones and web sites apply it
        soft = cv2.GaussianBlur(image, (0, 0), 1.2)
        strength = rng.uniform(0.3, 1.5)
        image = cv2.addWeighted(image, 1 + strength, soft, -strength, 0)
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(2, 16)
        image = (image + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        image = reencode(image, int(rng.integers(20, 95)))
    if rng.random() < 0.15:
        height, width = rng.integers(size // 12, size // 3, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        image = image.copy()
        image[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return image


def reencode(image: np.ndarray, quality: int) -> np.ndarray:
    """A uint8 picture (H, W, 3) as JPEG of a quality, 1 to 100, gives it back."""
    code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(code, cv2.IMREAD_COLOR)


AUGMENTATIONS = {"baseline": augment_lightly, "compact": augment}
