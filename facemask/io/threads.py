"""Work ahead in threads: reading, finding and writing while the model judges."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# More would only wait for each other: the face finder has one network per size of photo.
WORKERS = max(2, min(4, os.cpu_count() or 2))


def ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int = WORKERS
) -> Iterator[R]:
    """`map` in threads, in order, with so few items under way that memory stays flat.

    With one worker the calls follow one another, so that order matters to none.

    Args:
        function: what it raises is raised here, in its turn.
        items: taken one by one, by the thread that asks for the results.
        workers: threads; at most twice as many items are under way or waiting to be taken.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                del item  # or it would live on until the next one comes
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
