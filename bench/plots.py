"""Drawing the plots of the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def drawn(path: Path, *, columns: int = 1, width: float = 10.0, height: float = 3.8) -> Iterator[tuple[Any, list[Any]]]:
    """A figure and its axes, side by side, to be drawn on; it is written when the block ends.

    The same figures give the same file, byte for byte.

    :param path: an SVG.
    :param columns: how many axes.
    :param width: inches.
    :param height: inches.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "bench", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    try:
        yield figure, list(axes[0])
        figure.savefig(path, metadata={"Date": None})
    finally:
        pyplot.close(figure)
