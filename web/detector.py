"""Turn the face finder's .tflite file into a TF.js graph model.

TF.js cannot read .tflite files. The network is a plain chain of a few kinds of layers, so each is
written as the node of the same meaning in TF.js' own format: model.json, which lists the nodes and
the weights, and one file with the weights as 16-bit floats, which is how the .tflite holds them.
"""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from facemask.io.files import FacemaskError, write_whole

FLOAT, INT = {"type": "DT_FLOAT"}, {"type": "DT_INT32"}


def convert(tflite: bytes, folder: Path) -> None:
    """Write model.json and weights.bin of a BlazeFace network for pictures of any size.

    Its input is `image`, (1, height, width, 3), its outputs are `boxes`, (1, anchors, 16), and
    `scores`, (1, anchors, 1), as in the .tflite.

    Args:
        tflite: the file's content.
        folder: where to write.

    Raises:
        FacemaskError: the network holds a layer that this does not know.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite))
    (graph,) = model.subgraphs
    constants = _constants(model, graph)
    # Tensors are named by their numbers; a dequantised weight is the weight itself.
    names = {number: f"t{number}" for number in range(len(graph.tensors))}
    names[graph.inputs[0]] = "image"
    nodes = [{"name": "image", "op": "Placeholder", "attr": {"dtype": FLOAT, "shape": _shape(
        [1, -1, -1, 3])}}]  # fmt: skip
    weights: dict[str, np.ndarray] = {}

    def constant(array: np.ndarray) -> str:
        name = f"w{len(weights)}"
        weights[name] = array
        kind = INT if array.dtype == np.int32 else FLOAT
        value = {"tensor": {"dtype": kind["type"], "tensorShape": _shape(array.shape)["shape"]}}
        nodes.append({"name": name, "op": "Const", "attr": {"dtype": kind, "value": value}})
        return name

    relus = {op.inputs[0]: op.outputs[0] for op in graph.operators if _kind(model, op) == "RELU"}
    uses = [i for op in graph.operators for i in op.inputs] + list(graph.outputs)
    for op in graph.operators:
        kind, options, result = _kind(model, op), op.builtinOptions, op.outputs[0]
        inputs = [i for i in op.inputs if i not in constants]
        fixed = [constants[i] for i in op.inputs if i in constants]
        if kind == "DEQUANTIZE":
            continue
        if getattr(options, "fusedActivationFunction", 0) != 0:
            raise FacemaskError(f"the finder's {kind} has an activation; extend web/detector.py")
        node: dict[str, Any] = {
            "name": names[result], "input": [names[i] for i in inputs], "attr": {"T": FLOAT},
        }  # fmt: skip
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            # TF.js runs a convolution with the ReLU after it in one go.
            relu = relus.get(result) if uses.count(result) == 1 else None
            if relu is not None:
                node["name"] = names[result] = names[relu]
            depthwise = kind.startswith("DEPTHWISE")
            order = (1, 2, 3, 0)  # .tflite: outputs first; TF.js: inputs, outputs last
            node["op"] = "FusedDepthwiseConv2dNative" if depthwise else "_FusedConv2D"
            node["input"] += [constant(fixed[0].transpose(order)), constant(fixed[1])]
            fused = ["BiasAdd", "Relu"] if relu is not None else ["BiasAdd"]
            node["attr"] |= _window(options) | {
                "fused_ops": {"list": {"s": [_text(f) for f in fused]}},
                "num_args": {"i": "1"},
                "dilations": _list(1, options.dilationHFactor, options.dilationWFactor, 1),
            }
        elif kind == "RELU":
            if names[inputs[0]] == names[result]:
                continue  # done by the convolution
            node["op"] = "Relu"
        elif kind == "ADD":
            node["op"] = "AddV2"
        elif kind == "MAX_POOL_2D":
            node["op"] = "MaxPool"
            size = _list(1, options.filterHeight, options.filterWidth, 1)
            node["attr"] |= _window(options) | {"ksize": size}
        elif kind == "PAD":
            node["op"] = "Pad"
            node["input"].append(constant(fixed[0]))
        elif kind == "RESHAPE":
            node["op"] = "Reshape"
            node["input"].append(constant(np.asarray(options.newShape, np.int32)))
        elif kind == "CONCATENATION":
            node["op"] = "ConcatV2"
            node["input"].append(constant(np.array(options.axis, np.int32)))
            node["attr"]["N"] = {"i": str(len(inputs))}
        else:
            raise FacemaskError(f"the face finder has a {kind} layer; extend web/detector.py")
        nodes.append(node)
    outputs = {}
    for number in graph.outputs:
        outputs["boxes" if graph.tensors[number].shape[-1] == 16 else "scores"] = names[number]
    _write(folder, nodes, weights, outputs)


def _write(folder: Path, nodes: list, weights: dict[str, np.ndarray], outputs: dict) -> None:
    entries, content = [], b""
    for name, array in weights.items():
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": "int32"}
        if array.dtype != np.int32:
            entry["dtype"] = "float32"
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        entries.append(entry)
        content += array.tobytes()
    describe = {
        "format": "graph-model",
        "modelTopology": {"node": nodes, "versions": {"producer": 1}},
        "signature": {
            "inputs": {"image": {"name": "image:0", "dtype": "DT_FLOAT"}},
            "outputs": {k: {"name": f"{v}:0", "dtype": "DT_FLOAT"} for k, v in outputs.items()},
        },
        "weightsManifest": [{"paths": ["weights.bin"], "weights": entries}],
    }
    with write_whole(folder) as partial:
        partial.mkdir()
        (partial / "weights.bin").write_bytes(content)
        (partial / "model.json").write_text(json.dumps(describe, separators=(",", ":")))


def _constants(model: Any, graph: Any) -> dict[int, np.ndarray]:
    """Tensor number to array, for all that the file holds; float16 or int32."""
    kinds = {schema.TensorType.FLOAT16: np.float16, schema.TensorType.INT32: np.int32}
    found = {}
    for number, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            found[number] = np.asarray(data).view(kinds[tensor.type]).reshape(tensor.shape)
    for op in graph.operators:
        if _kind(model, op) == "DEQUANTIZE":
            found[op.outputs[0]] = found[op.inputs[0]]
    return found


def _kind(model: Any, op: Any) -> str:
    code = model.operatorCodes[op.opcodeIndex]
    # Old files hold the kind in the first field, newer ones in the second; the other is less.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next(k for k, v in vars(schema.BuiltinOperator).items() if v == number)


def _window(options: Any) -> dict:
    same = options.padding == schema.Padding.SAME
    return {
        "padding": {"s": _text("SAME" if same else "VALID")},
        "strides": _list(1, options.strideH, options.strideW, 1),
        "data_format": {"s": _text("NHWC")},
    }


def _text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _list(*numbers: int) -> dict:
    return {"list": {"i": [str(number) for number in numbers]}}


def _shape(shape: Iterable[int]) -> dict:
    return {"shape": {"dim": [{"size": str(int(side))} for side in shape]}}
