"""A classifier with one trained network for all modalities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.deep.model import DeepModel
from fastmm.deep.parameters import check_parameters, seed_of
from fastmm.deep.tensors import import_torch, telling_of_memory, torch_device
from fastmm.deep.training_rows import refuse_one_class, take_training_inputs, weigh
from fastmm.solve.grouped import encode_groups
from fastmm.validate.dealing import split_rows

__all__ = ["DeepClassifier"]


class DeepClassifier(DeepModel):
    r"""Classify images, volumes and tables by a network that is trained end to end.

    .. math:: y = \arg\max_c\, h\big([e_1(x_1), \dots, e_M(x_M)]; \theta\big)_c

    with one encoder :math:`e_m` for each modality (convolutions in 2 or 3 dimensions, a
    linear map and two layers for a table) and a head h on their features side by side. A
    modality that a row lacks is replaced by a vector that is learned, for which modalities
    are hidden at random in training.

    Parameters
    ----------
    encoder : {"residual", "plain"}, default "residual"
        Whether blocks of convolutions have a path around them.
    table_encoder : {"residual", "linear"}, default "residual"
        Two layers beside a linear map of the columns, or that map alone: what fewer than
        several hundred patients can teach. It meets other modalities in the head.
    width : int, default 16
        Channels of the first convolution; each of at most 4 stages has twice those before.
    n_features : int, default 64
        Features of each modality.
    channels : bool or sequence of str, default False
        Whether arrays of four axes are images with channels (n, c, h, w), or the names of
        those that are; the others are volumes (n, d, h, w).
    class_weight : None, "balanced" or dict, default "balanced"
        Factors of the weights of the rows of a class, as in :class:`LSSVC`. "balanced"
        makes 0 the border between classes of equal weight, also for `predict_proba`.
    max_epochs : int, default 60
        Most passes over the training rows, over which the learning rate falls to 0.
    patience : int, default 10
        Epochs without a lower loss on held-out rows after which training stops.
    validation_fraction : float, default 0.15
        Share of the groups (patients) of each class that is held out to stop early, in
        [0, 1); 0 trains on all rows for `max_epochs`.
    batch_size : int, default 32
        Most rows of a step; fewer, down to 8, where an epoch would have less than 16 steps.
    learning_rate : float, default 2e-3
        Largest learning rate of AdamW, at most 1.
    weight_decay : float, default 0.02
        Weight decay of AdamW.
    dropout : float, default 0.2
        Share of features that are hidden in training, in [0, 1).
    column_dropout : float, default 0.3
        Share of the columns of tables that are hidden in training, in [0, 1).
    modality_dropout : float, default 0.2
        Share of modalities that are hidden in training, in [0, 1), of rows with several.
    shift, zoom : float, default 0.06 and 0.06
        Largest random shift of images as a share of each axis, and change of their scale.
    rotation : float, default 6.0
        Largest random rotation in the plane of the last two axes, in degrees.
    flip : bool, default False
        Whether to mirror the last axis at random. Bodies are not symmetric.
    precision : {"auto", "float32", "mixed"}, default "auto"
        "mixed" trains in bfloat16, or in float16 with a scaled loss on a GPU without it,
        where that loses little; "auto" does so on a GPU.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where to train and predict; "auto" takes a GPU if torch finds one. Arrays on a GPU
        are used there.
    random_state : int, RandomState or None, default 0
        Seed of weights, order, hidden features and movements. None draws one.
    checkpoint : str, Path or None, default None
        Folder in which each run keeps a file that is written after each epoch. The same
        call with the same data goes on from there, to the same bits; a run that ended is
        not trained again. Needs an int as `random_state`.
    memory_limit : int, str or None, default None
        Bytes that training or predicting may take on the host beside what is in memory already,
        such as "2GB": arrays that are memory-mapped, zarr's or anything of h5py's kind are
        then read batch by batch, the next one ahead, with the same result. A batch and
        the network have to fit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the dtype of y, on the host.
    shapes_ : dict of str to tuple
        Shape of a row of each modality: (p,), (c, h, w) or (c, d, h, w). An array that is no
        dict is named "X".
    scaling_ : dict of str to dict
        Mean and deviation ("mean", "scale") of each column or channel over training rows.
    weights_ : dict of str to ndarray
        Weights of the network, float32, on the host.
    history_ : dict of str to list of float
        Weighted mean log loss of each epoch: "loss" of the training rows while they were
        learned, "held_out_loss" of the others by the averaged weights.
    best_epoch_, n_epochs_ : int
        Epoch whose weights were kept, from 1, and the number of epochs that were trained.
    held_out_rows_ : ndarray of int
        Rows of X that were held out to stop early. Empty where a class would have been
        missing on a side: such a run trains for `max_epochs`.
    seed_ : int
        Seed of the run.
    always_ : list of str
        Modalities that no training row lacked or had hidden, which new rows must have.
    n_features_in_ : int
        Number of columns, where X is one table.

    Notes
    -----
    Images are brought to mean 0 and deviation 1 by constants of the training rows, tables
    column by column. Group normalisation makes a row independent of its batch; the weights
    that are kept are a moving average over about an epoch. Predictions are computed in
    float32, for tables alone in float64.

    The same seed, device and number of threads give the same bits. torch's global random
    state, its number of threads and its settings are left as they are.

    Arrays that torch can hold are shared through DLPack, not copied, and standardised batch
    by batch.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S., & Sun, J. (2016). Deep residual learning for image
       recognition. CVPR, 770-778. https://doi.org/10.1109/CVPR.2016.90
    .. [2] Wu, Y., & He, K. (2018). Group normalization. ECCV, 3-19.
       https://doi.org/10.1007/978-3-030-01261-8_1
    .. [3] Neverova, N., Wolf, C., Taylor, G., & Nebout, F. (2016). ModDrop: adaptive
       multi-modal gesture recognition. IEEE Transactions on Pattern Analysis and Machine
       Intelligence, 38(8), 1692-1706. https://doi.org/10.1109/TPAMI.2015.2461544
    .. [4] Polyak, B. T., & Juditsky, A. B. (1992). Acceleration of stochastic approximation
       by averaging. SIAM Journal on Control and Optimization, 30(4), 838-855.
       https://doi.org/10.1137/0330046

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import DeepClassifier
    >>> y = np.arange(40) % 2
    >>> data = {"ct": np.zeros((40, 8, 8), "float32"), "case": np.zeros((40, 2), "float32")}
    >>> data["ct"][y == 1, 2:5, 2:5] = 1  # a lesion
    >>> data["case"][:5] = np.nan  # patients without a case table
    >>> model = DeepClassifier(width=4, max_epochs=30).fit(data, y)
    >>> model.predict({"ct": data["ct"][:4]})
    array([0, 1, 0, 1])
    """

    def __init__(
        self,
        *,
        encoder: str = "residual",
        table_encoder: str = "residual",
        width: int = 16,
        n_features: int = 64,
        channels: bool | Sequence[str] = False,
        class_weight: Any = "balanced",
        max_epochs: int = 60,
        patience: int = 10,
        validation_fraction: float = 0.15,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.02,
        dropout: float = 0.2,
        column_dropout: float = 0.3,
        modality_dropout: float = 0.2,
        shift: float = 0.06,
        zoom: float = 0.06,
        rotation: float = 6.0,
        flip: bool = False,
        precision: str = "auto",
        device: str = "auto",
        random_state: Any = 0,
        checkpoint: str | Path | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.encoder = encoder
        self.table_encoder = table_encoder
        self.width = width
        self.n_features = n_features
        self.channels = channels
        self.class_weight = class_weight
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.column_dropout = column_dropout
        self.modality_dropout = modality_dropout
        self.shift = shift
        self.zoom = zoom
        self.rotation = rotation
        self.flip = flip
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.memory_limit = memory_limit

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> DeepClassifier:
        """Train the network.

        Parameters
        ----------
        X : dict of str to array, or array
            Modalities by name, all with n rows: tables (n, p), images (n, h, w), volumes
            (n, d, h, w), either with channels (see `channels`; five axes are volumes with
            channels). A row that is NaN throughout, or None in a list, lacks the modality.
            NumPy, CuPy, or any DLPack arrays.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative; rows of weight 0 are left out. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row, which is trained on or held out as a whole.
        progress : callable, optional
            Called as ``progress(done, total)`` after each epoch.

        Returns
        -------
        DeepClassifier
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class, a row has no
            modality, a parameter is out of its range, training diverged, or `memory_limit`
            is too low.
        TypeError
            If the arrays live on different devices.
        ImportError
            If PyTorch is not installed (extra ``deep``).
        ModelFileError
            If the checkpoint is damaged.
        DeviceMemoryError
            If the GPU is out of memory.
        """
        import_torch()
        from fastmm.deep.runs import run_training

        check_parameters(self)
        inputs, labels, weight = take_training_inputs(self, X, y, sample_weight)
        classes, codes = np.unique(labels, return_inverse=True)
        weight = weigh(self.class_weight, classes, codes, weight)
        used = np.flatnonzero(weight > 0)
        refuse_one_class(classes, codes[used])
        seed = seed_of(self)
        names = None if groups is None else encode_groups(groups, len(codes))[used]
        train, watch = split_rows(codes[used], names, float(self.validation_fraction), seed)
        rows, device = (used[train], used[watch]), torch_device(self.device, inputs.space)
        with telling_of_memory(device):
            found = run_training(self, inputs, codes, weight, rows, seed, device, progress)
        self.classes_, self.seed_, self.shapes_ = classes, seed, inputs.shapes()
        self.scaling_, self.weights_ = found.scaling, found.weights
        self.history_, self.best_epoch_ = found.history, found.best_epoch
        self.n_epochs_ = len(self.history_["loss"])
        self.held_out_rows_ = used[watch]
        hidden = self.modality_dropout > 0 and len(self.shapes_) > 1
        self.always_ = [
            name for name in self.shapes_ if not hidden and inputs.present[name][used[train]].all()
        ]
        return self
