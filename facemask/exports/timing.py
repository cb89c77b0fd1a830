"""How long one thread of LiteRT takes for an answer."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def one_face(tflite: str | Path) -> float:
    """Milliseconds that one thread of LiteRT takes for one answer, the median of 50."""
    run = runner(Path(tflite), 1)
    return 1e3 * float(np.median([seconds(run) for _ in range(50)]))


def runner(path: Path, batch: int) -> Callable[[], None]:
    """One answer about `batch` pictures by one thread."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    (taken,) = interpreter.get_input_details()
    _, *shape = taken["shape"]
    interpreter.resize_tensor_input(taken["index"], (batch, *shape))
    interpreter.allocate_tensors()
    pictures = np.random.default_rng(0).integers(0, 256, (batch, *shape))
    interpreter.set_tensor(taken["index"], pictures.astype(taken["dtype"]))
    interpreter.invoke()
    return interpreter.invoke


def seconds(call: Callable) -> float:
    """The processor time of this thread for a call; what it waits for others is left out."""
    start = time.thread_time()
    call()
    return time.thread_time() - start
