"""Fits side by side, each in a thread of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def side_by_side(count: int, threads: int) -> Iterator[Callable]:
    """Yield a `map` that makes up to `count` calls at once; PyTorch uses `threads` threads in each.

    The calls share their memory, and run at once where PyTorch computes. For one call it is Python's own `map`.
    """
    if count == 1:
        yield map
        return

    def use() -> None:
        torch.get_num_threads()  # PyTorch sets a thread up when it is first asked, and would undo what was set before
        torch.set_num_threads(threads)

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=use)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # for threads to come, too
