"""Write a model as TFLite, in four number formats, described so that phones need no other file.

Android's Task library and MediaPipe's image classifier read from the file itself how a picture is
prepared and what the outputs are called: a second flatbuffer inside the model holds the facts, and
a zip archive after its end holds labels.txt. The format is TensorFlow Lite's
`metadata_schema.fbs` (https://github.com/tensorflow/tflite-support); the packages that write it no
longer install beside a current TensorFlow, and it takes few lines.
"""

import io
import struct
import zipfile
from pathlib import Path
from typing import NamedTuple

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.number_types import Float32Flags, Int32Flags
from flatbuffers.table import Table

from facemask.io.files import FacemaskError

FORMS = {
    "model.tflite": "float32",
    "model-float16.tflite": "weights as float16, half the size",
    "model-dynamic.tflite": "weights as 8-bit integers, arithmetic on them chosen as it runs",
    "model-int8.tflite": "8-bit integers throughout; uint8 pictures in, float32 probabilities out",
}
METADATA = "TFLITE_METADATA"
LABELS = "labels.txt"


class Description(NamedTuple):
    """What a TFLite file says of itself.

    Attributes:
        size: width and height of the picture in pixels, RGB.
        mean, std: the normalisation that the caller has to do; 0 and 1 mean none.
        labels: class names in the order of the outputs.
    """

    size: tuple[int, int]
    mean: float
    std: float
    labels: list[str]


def convert(saved_model: Path, form: str, calibration: np.ndarray, labels: list[str]) -> bytes:
    """Convert a classifier's SavedModel to one of FORMS, described (see `describe`).

    Args:
        saved_model, form, calibration: see `convert_plainly`.
        labels: class names in the order of the outputs.
    """
    return describe(convert_plainly(saved_model, form, calibration), labels)


def convert_plainly(saved_model: Path, form: str, calibration: np.ndarray) -> bytes:
    """Convert any SavedModel that takes pictures to one of FORMS.

    Args:
        saved_model: folder that `model.export` wrote; takes float32 RGB, 0..255.
        form: a key of FORMS.
        calibration: uint8 RGB (N, H, W, 3), training pictures that show the ranges of all values
            to the int8 form; the others do not use them.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if form != "model.tflite":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "model-float16.tflite":
        converter.target_spec.supported_types = [tf.float16]
    if form == "model-int8.tflite":
        converter.representative_dataset = lambda: (
            [picture[None].astype(np.float32)] for picture in calibration
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    return converter.convert()


def describe(tflite: bytes, labels: list[str]) -> bytes:
    """Add to a TFLite picture classifier what its callers need to know.

    Args:
        tflite: the converter's result, one picture batch in, one probability table out.
        labels: class names in the order of the outputs.

    Returns:
        The file's new content. Tensors inside lose their long names, which no runtime reads.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite))
    (graph,) = model.subgraphs
    for number, tensor in enumerate(graph.tensors):
        tensor.name = f"t{number}"
    (image,), (probabilities,) = graph.inputs, graph.outputs
    graph.tensors[image].name, graph.tensors[probabilities].name = "image", "probabilities"
    _, height, width, _ = graph.tensors[image].shape
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_metadata(int(height), int(width)), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = _Builder(len(tflite))
    builder.Finish(model.Pack(builder), b"TFL3")
    content = io.BytesIO(builder.Output())
    with zipfile.ZipFile(content, "a") as archive:  # appended, not compressed: read in place
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(labels) + "\n")
    return content.getvalue()


class _Builder(flatbuffers.Builder):
    """Keeps weights at addresses that are multiples of 16, as the format asks."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def _metadata(height: int, width: int) -> bytes:
    """The flatbuffer with the facts; the numbers are the schema's, in the order of its fields."""
    b = flatbuffers.Builder()

    def table(*fields: tuple | None) -> int:
        values = [f and (f[0], b.CreateString(f[1]) if f[0] == "text" else f[1]) for f in fields]
        b.StartObject(len(values))
        for slot, field in enumerate(values):
            if field:
                kind, value = field
                write = {"byte": b.PrependInt8Slot, "int": b.PrependInt32Slot}
                write.get(kind, b.PrependUOffsetTRelativeSlot)(slot, value, 0)
        return b.EndObject()

    def tables(*offsets: int) -> tuple:
        b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            b.PrependUOffsetTRelative(offset)
        return "offset", b.EndVector()

    def floats(value: float) -> tuple:
        return "offset", b.CreateNumpyVector(np.array([value], np.float32))

    # NormalizationOptions{mean, std} (1) in a ProcessUnit: none, for the model does it itself.
    unit = table(("byte", 1), ("offset", table(floats(0), floats(1))))
    # ImageProperties{color_space RGB (1), default_size} (2) in a Content.
    size = table(("int", width), ("int", height))
    content = table(("byte", 2), ("offset", table(("byte", 1), ("offset", size))))
    image = table(
        ("text", "image"), ("text", "One face, RGB, 0 to 255."), None, ("offset", content),
        tables(unit), ("offset", table(floats(255), floats(0))),
    )  # fmt: skip
    # AssociatedFile{name, description, type TENSOR_AXIS_LABELS (2)}; Content of features (1).
    file = table(("text", LABELS), ("text", "The classes."), ("byte", 2))
    features = table(("byte", 1), ("offset", table()))
    probabilities = table(
        ("text", "probabilities"), ("text", "One per class; they sum to 1."), None,
        ("offset", features), None, ("offset", table(floats(1), floats(0))), tables(file),
    )  # fmt: skip
    graph = table(None, None, tables(image), tables(probabilities))
    text = "Says of a face whether it wears a mask."
    root = table(
        ("text", "Face-mask classifier"), ("text", text), None, tables(graph), None,
        ("text", "MIT"), None, ("text", "1.0.0"),
    )  # fmt: skip
    b.Finish(root, b"M001")
    return bytes(b.Output())


def read_description(path: str | Path) -> Description:
    """What a TFLite file says of itself, as Android's and MediaPipe's classifiers read it.

    Raises:
        FacemaskError: the file holds no description or a damaged one.
    """
    try:
        content = Path(path).read_bytes()
        if content[4:8] != b"TFL3":
            raise ValueError("it is not a TFLite file")
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        number = next(m.buffer for m in model.metadata or [] if m.name == METADATA.encode())
        root = _Reader.root(bytes(model.buffers[number].data))
        (graph,) = root.tables(3)
        (image,), (probabilities,) = graph.tables(2), graph.tables(3)
        size = image.table(3).table(1).table(1)
        (unit,) = image.tables(4)
        (file,) = probabilities.tables(6)
        with zipfile.ZipFile(path) as archive:
            labels = archive.read(file.text(0)).decode("utf-8").split()
        norm = unit.table(1)
        return Description(
            (size.integer(0), size.integer(1)), norm.float(0), norm.float(1), labels
        )
    except (OSError, StopIteration, ValueError, TypeError, KeyError, struct.error,
            zipfile.BadZipFile) as error:
        raise FacemaskError(
            f"{path} does not describe itself ({error!r}); export the model again"
        ) from error


class _Reader:
    """A table in a flatbuffer, its fields by their numbers."""

    def __init__(self, content: bytes, position: int) -> None:
        self.raw = Table(content, position)

    @classmethod
    def root(cls, content: bytes) -> "_Reader":
        if content[4:8] != b"M001":
            raise ValueError("its description is of another format")
        return cls(content, Table(content, 0).Indirect(0))

    def _at(self, slot: int) -> int:
        offset = self.raw.Offset(4 + 2 * slot)
        if not offset:
            raise ValueError(f"field {slot} is missing")
        return offset

    def table(self, slot: int) -> "_Reader":
        return _Reader(self.raw.Bytes, self.raw.Indirect(self.raw.Pos + self._at(slot)))

    def tables(self, slot: int) -> list["_Reader"]:
        start, count = self.raw.Vector(self._at(slot)), self.raw.VectorLen(self._at(slot))
        return [_Reader(self.raw.Bytes, self.raw.Indirect(start + 4 * k)) for k in range(count)]

    def text(self, slot: int) -> str:
        return self.raw.String(self.raw.Pos + self._at(slot)).decode("utf-8")

    def integer(self, slot: int) -> int:
        return self.raw.Get(Int32Flags, self.raw.Pos + self._at(slot))

    def float(self, slot: int) -> float:
        return float(self.raw.GetVectorAsNumpy(Float32Flags, self._at(slot))[0])
