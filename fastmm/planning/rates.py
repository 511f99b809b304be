"""Calibrated constants of the planner: what is not given by bytes and flops alone.

Each was measured once, as processor time of one thread on an AMD EPYC core of 48 GFLOP/s
(float64 matrix products) and 24 GB/s (copies), with numpy 2.4, numba 0.68, scipy 1.17 and
scikit-learn 1.9, operation by operation, and is used as it is on other machines. Seconds of files
and features lie between such measurements and the runs of `benchmarks/scaling.py`, memory of
imports is that of small runs; `benchmarks/bench_plan.py` tells how far plans are from other runs.
"""

from __future__ import annotations

__all__: list[str] = []

# Files. DICOM slices of 16 bits in folders: of 256 x 256 pixels, 8 each, and 512 x 512, 40 each.
FILE_LONE = 60e-6  # seconds of Python for a header and its place in a series, on one core
FILE = 170e-6  # seconds for a file to be opened, read and resized, on all cores
PIXEL_BYTE = 0.13e-9  # seconds for a stored byte
NORMALISE = 1.5e-9  # seconds for a resized pixel
# What a decoder takes for each byte that comes out: one image of 512 x 512 x 16 bits, smoothed
# noise that shrinks by half (pictures: 8 bits).
DECODE = {
    "plain": 0.0,
    "gzip": 5.6e-9,
    "PNG": 12.3e-9,
    "JPEG": 5.9e-9,
    "TIFF": 5.6e-9,  # not measured: as gzip, which most are packed by
    "RLE": 16.9e-9,
    "JPEG lossless": 3.9e-9,
    "JPEG-LS": 9.9e-9,
    "JPEG 2000": 67e-9,
}

# Features of a slice, seconds on one core, for each pixel of a patch or of a slice.
PATCH_PIXEL = 2.4e-9  # 225 patches of 256 pixels in 140 microseconds
SLICE_FEATURES = 30e-6
STATISTIC_PIXEL = 0.21e-6  # sorted for percentiles: 3.5 ms of 128 x 128

# Tables, seconds of Python.
CELL = 1.2e-6  # a cell that is read, checked and parsed
COLUMN = 30e-6  # a column that is encoded, in each fit
FIT_CELL = 0.25e-6  # and a cell of it

# Fits, seconds: of NumPy's element-wise work, on one core.
FIT = 1.5e-3
FIT_MODALITY = 2e-3
FIT_ROW = 10e-6  # calibration of scores, conformal scores, folds
ELEMENT = 40e-9  # for each element of the features that is standardised and stacked
APPLY = 8e-9  # for each element of rows that are predicted
SOLVE = 1e-3
SOLVE_ELEMENT = 40e-9  # for each element of the matrix a ridge search takes
LOSS = 0.25e-3  # an evaluation of the held-out loss
LOSS_ELEMENT = 60e-9  # and each element of the kernel in it
PATH_ELEMENT = 40e-9  # each element of the kernel, for seven penalties from one spectrum
FUSE_ELEMENT = 12e-9  # each element of each modality's kernel, weighed and differentiated
JOINT_ELEMENT = 20e-9  # each element of an RBF kernel and its derivative
MACHINE_ELEMENT = 20e-9  # each element of the system of a machine, for each penalty
HINGE = 0.5e-3  # a support vector machine that starts near its solution
HINGE_ELEMENT = 60e-9  # and each element of its kernel
COMBINE_ROW = 0.4e-3  # weights of scores without a patient, with none below 0
EIGH = 9.0  # flops of an eigendecomposition in products of matrices, over n^3

# A network: share of the rate of float32 products that convolutions reach (torch on one core).
CONVOLUTION = 0.6
STEP, STEP_MODALITY = 3e-3, 5e-3  # seconds of a step of the optimiser beside its rows

# Imports of the command, and Numba's kernels from their cache; of readers.
START = 2.3
START_IMAGES = 0.1
START_DASK = 0.8  # of dask, and a connection
TASK = 2e-3  # a task that is sent to a cluster, and its features that come back: not measured

# What is asked of validated scores, seconds on one core.
SCORES = 10e-3  # a set's scores, whatever their number
SCORED = 420e-9  # all scores of two classes, of each row in a resample
AREA = 60e-9  # an area under the curve alone
DRAWN = 30e-9  # a mean alone
PERMUTED = 40e-9  # an area of each row in a permutation, for each penalty
CURVE_FIT = 2.3e-3  # a search on the few rows of a learning curve
CURVE_ELEMENT = 6e-9  # and each element of their kernel, for each penalty

# Report: pages and figures; rows of its tables for each set of modalities.
REPORT = 1.4
REPORT_SET = 20e-3

# Memory, bytes beyond the start of Python.
BASE = 180e6  # imports of the command: NumPy, SciPy, scikit-learn, rich
KERNELS = 112e6  # Numba with its compiled kernels, which every fit needs
IMAGES = 6e6  # pydicom, threads
DEEP = 330e6  # torch
CUDA = 500e6  # CuPy and the driver's context on the host; not measured
DASK = 25e6  # dask and distributed
PAGE = 37e6  # Matplotlib and Jinja, for the report
HEADER = 5e3  # a file's header while those of its modality are read
CELL_BYTES = 100  # a cell of a table as text, in the lists and columns that hold it
