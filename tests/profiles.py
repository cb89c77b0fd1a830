"""Colour profiles."""

from PIL import ImageCms


def red_is_blue() -> bytes:
    """A colour profile like sRGB's, but with red and blue changing places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Of the table of tags, and of the profile's description.
    profile = profile.replace(b"rXYZ", b"tXYZ", 1).replace(b"bXYZ", b"rXYZ", 1)
    profile = profile.replace(b"tXYZ", b"bXYZ", 1)
    return profile.replace("sRGB".encode("utf-16-be"), "Mine".encode("utf-16-be"))
