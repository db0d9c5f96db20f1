"""Functions of the library on arrays of NumPy; what each does, its own help says.

Arrays of ``float32`` in C order are read where they lie; others are copied, which :class:`holdfast.CopyWarning` says. While a
function works, other threads of Python run, and Ctrl-C raises ``KeyboardInterrupt``. ``progress`` is called with what was done
since it was called last; ``tqdm(...).update`` fits. Errors are those of :class:`holdfast.Error`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "envelope",
    "frozen",
    "hold",
    "importance",
    "main",
    "masks",
    "merge",
    "options_of",
    "path",
    "pre_activations",
    "ranks",
    "refit",
    "run",
    "settle",
    "stability",
]

_Progress: TypeAlias = Callable[[int], object] | None
_Axes: TypeAlias = str | Sequence[str] | None
_Mask: TypeAlias = NDArray[np.bool_]
_K = TypeVar("_K")

def stability(
    history: ArrayLike, tolerance: float | Sequence[float] = 0.03, *, axes: _Axes = None, progress: _Progress = None
) -> NDArray[np.uint32]: ...
def settle(history: ArrayLike, window: int | None = None, *, axes: _Axes = None) -> NDArray[np.float64]: ...
def hold(history: ArrayLike, window: int | None = None, *, axes: _Axes = None) -> NDArray[np.float32]: ...
def envelope(
    history: ArrayLike, window: int | None = None, *, axes: _Axes = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def frozen(history: ArrayLike, window: int | None = None, *, axes: _Axes = None) -> NDArray[np.bool_]: ...
def ranks(history: ArrayLike, axes: _Axes = None, *, progress: _Progress = None) -> NDArray[np.uint32]: ...
@overload
def masks(
    scores: Mapping[_K, ArrayLike],
    sparsity: float,
    scope: str = "global",
    *,
    largest_first: bool = False,
    before: Mapping[_K, ArrayLike] | None = None,
) -> dict[_K, _Mask]: ...
@overload
def masks(
    scores: Mapping[_K, ArrayLike],
    sparsity: Sequence[float],
    scope: str = "global",
    *,
    largest_first: bool = False,
    before: Mapping[_K, ArrayLike] | None = None,
) -> list[dict[_K, _Mask]]: ...
@overload
def masks(
    scores: list[NDArray[Any]] | tuple[NDArray[Any], ...],
    sparsity: float,
    scope: str = "global",
    *,
    largest_first: bool = False,
    before: Sequence[ArrayLike] | None = None,
) -> list[_Mask]: ...
@overload
def masks(
    scores: list[NDArray[Any]] | tuple[NDArray[Any], ...],
    sparsity: Sequence[float],
    scope: str = "global",
    *,
    largest_first: bool = False,
    before: Sequence[ArrayLike] | None = None,
) -> list[list[_Mask]]: ...
@overload
def masks(
    scores: ArrayLike,
    sparsity: float,
    scope: str = "global",
    *,
    largest_first: bool = False,
    before: ArrayLike | None = None,
) -> _Mask: ...
@overload
def masks(
    scores: ArrayLike,
    sparsity: Sequence[float],
    scope: str = "global",
    *,
    largest_first: bool = False,
    before: ArrayLike | None = None,
) -> list[_Mask]: ...
def path(
    arrays: dict[str, Any],
    settings: dict[str, Any],
    holding: ArrayLike | None,
    ratios: ArrayLike | None,
    kept: ArrayLike | None,
    progress: _Progress,
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]: ...
def refit(
    arrays: dict[str, Any], settings: dict[str, Any], kept: ArrayLike, progress: _Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]: ...
def merge(
    paths: Sequence[tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]],
    importance: Sequence[NDArray[np.float64]],
) -> tuple[
    tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]], tuple[NDArray[np.float64], NDArray[np.float64]], int
]: ...
def pre_activations(arrays: dict[str, Any], settings: dict[str, Any]) -> NDArray[np.float32]: ...
def importance(
    inputs: ArrayLike, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike | None]
) -> list[NDArray[np.float64]]: ...
def main(arguments: Sequence[str]) -> int: ...
def options_of(command: str) -> list[tuple[str, bool]]: ...
def run(arguments: Sequence[str], progress: _Progress) -> tuple[str, list[str]]: ...
