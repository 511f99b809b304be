"""What transformers of whole images to features have in common."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from fastmm._device_memory import TellsOfMemory
from fastmm._lazy import Cost, streamed_transform
from fastmm._space import Space, telling_of_memory
from fastmm.features.stacks import take_stack

__all__ = ["ImageTransformer"]


class ImageTransformer(TellsOfMemory, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features of images that are learnt without labels; a base class.

    A transformer has `_encode(space, stack)`, which returns the features (n, ...) of images
    (n, channels, ...); `_spatial_axes()`, how many axes follow the channels; and `_cost`.
    """

    _cost: ClassVar[Cost]

    @streamed_transform
    def transform(
        self, images: Any, *, memory_limit: int | str | None = None, out: Any = None
    ) -> Any:
        r"""Return the features of images.

        Parameters
        ----------
        images : array of shape (n, \*image_shape_)
            Images of the shape seen in `fit`.
        memory_limit : int or str, optional
            As in `fastmm.resize`: bytes that the call may take, such as "2GB".
        out : array, optional
            Where the features go: a NumPy, memory-mapped or zarr array of their shape.

        Returns
        -------
        float32 array of shape (n, features)
            Features in the order of `get_feature_names_out`; on the device, and of the
            library, that `images` came from.

        Raises
        ------
        ValueError
            If an image has another shape, or holds NaN or infinity.
        NotFittedError
            If the transformer is not fitted.
        """
        check_is_fitted(self)
        space, stack, _, leave = take_stack(self, images, self._spatial_axes(), fitted=True)
        with telling_of_memory(space):
            found = self._encode(space, stack)
            return leave(found.reshape(len(found), math.prod(found.shape[1:])))

    def fit_transform(
        self, images: Any, y: Any = None, *, memory_limit: int | str | None = None, out: Any = None
    ) -> Any:
        r"""Learn from images and return their features.

        Parameters
        ----------
        images : array of shape (n, \*spatial) or (n, channels, \*spatial)
            Training images.
        y : None
            Ignored.
        memory_limit : int or str, optional
            As in `fit` and `transform`, each of which may take that much.
        out : array, optional
            As in `transform`.

        Returns
        -------
        float32 array of shape (n, features)
            What `transform` returns.
        """
        fitted: Any = self
        fitted = fitted.fit(images, y, memory_limit=memory_limit)
        return fitted.transform(images, memory_limit=memory_limit, out=out)

    def _encode(self, space: Space, stack: Any) -> Any:
        raise NotImplementedError

    def _spatial_axes(self) -> int:
        raise NotImplementedError

    __metadata_request__fit = {"memory_limit": UNUSED}  # noqa: RUF012
    __metadata_request__transform = {"memory_limit": UNUSED, "out": UNUSED}  # noqa: RUF012

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = self._spatial_axes() == 1
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
