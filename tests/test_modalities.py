"""From files to what a modality sees: channel, SUV, units; and what it says of itself."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from dicom_files import image, write
from pet_files import pet
from PIL import Image

from fastmm import ImageModality, MultimodalClassifier, load_images, load_model, save_model
from fastmm.errors import CohortError, DicomError, FastmmError, PictureError
from fastmm.modalities import Block

COLOURS = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3)).astype(np.uint8)


def colour_folder(folder):
    folder.mkdir()
    for i, pixels in enumerate(COLOURS):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_channel_of_colour_pictures(tmp_path, channel):
    paths = [colour_folder(tmp_path / "mri"), None, tmp_path / "mri" / "1.png"]
    loaded = ImageModality(shape=(10, 9), channel=channel).load(paths)
    expected = [cv2.resize(p[..., channel].astype(np.float32), (9, 10)) for p in COLOURS]
    np.testing.assert_allclose(loaded.images[0], expected, atol=2e-6 * 255)
    assert loaded.images[1] is None
    np.testing.assert_allclose(loaded.images[2], expected[1:2], atol=2e-6 * 255)
    assert loaded.units == "stored"


def test_colour_without_a_channel_is_an_error(tmp_path):
    with pytest.raises(PictureError, match="choose one with `channel=`"):
        ImageModality().load([colour_folder(tmp_path / "mri")])


def test_suv_is_activity_by_weight_and_dose(tmp_path):
    path = pet(tmp_path / "pet.dcm")
    modality = ImageModality(shape=(6, 5), suv=True, units="SUV")
    loaded = modality.load([path])
    left = 3.7e8 * 2 ** (-3600 / 6586.2)  # Bq, one hour after the injection
    np.testing.assert_allclose(loaded.images[0][0], image(low=0) * 2.5 * 70_000 / left, rtol=1e-6)
    assert loaded.units == "SUV"
    assert ImageModality(shape=(6, 5)).load([path]).units == "Bq/ml"
    with pytest.raises(CohortError, match="must have 'SUV', found Bq/ml"):
        ImageModality(shape=(6, 5), units="SUV").load([path])


def test_suv_of_what_is_no_pet_is_an_error(tmp_path):
    with pytest.raises(DicomError, match="must be PT for SUV, got CT"):
        ImageModality(suv=True).load([write(tmp_path / "ct.dcm")])
    with pytest.raises(FastmmError, match="needs a DICOM PET"):
        ImageModality(suv=True, channel=0).load([colour_folder(tmp_path / "mri")])


def test_units_that_differ(tmp_path):
    paths = [write(tmp_path / "ct.dcm"), write(tmp_path / "mr.dcm", Modality="MR")]
    with pytest.raises(CohortError, match=r"must have one unit, found HU, a\.u\."):
        ImageModality().load(paths)
    with pytest.warns(UserWarning, match=r"`window` \(40, 400\) .* images in HU, a\.u\."):
        load_images(paths, (4, 4), window=(40, 400), device="cpu")
    load_images(paths, (4, 4), device="cpu")  # without a window each keeps its own values


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channel": 3}, ValueError, "`channel` must be 0, 1 or 2, got 3"),
        ({"channel": -1}, ValueError, "`channel`"),
        ({"channel": True}, TypeError, "`channel`"),
        ({"channel": "red"}, TypeError, "`channel`"),
        ({"suv": 1}, TypeError, "`suv` must be True or False, got 1"),
        ({"normalize": "robust"}, ValueError, '`normalize` must be one of "zscore", "minmax"'),
        ({"window": (40, 0)}, ValueError, "window width"),
        ({"features": "edges"}, ValueError, "features"),
        ({"shape": (4,)}, ValueError, "shape"),
    ],
)
def test_parameters_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        ImageModality(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"normalize": "robust"}, ValueError, "`normalize` must be one of"),
        ({"normalize": 3}, TypeError, "`normalize` must be one of"),
        ({"on_error": "skip", "report": ()}, TypeError, "`report` must be a list"),
    ],
)
def test_options_are_checked_before_a_file_is_opened(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        load_images(tmp_path / "absent.dcm", (4, 4), device="cpu", **options)


def test_a_modality_says_what_it_does():
    ct = ImageModality(window=(0, 2000), units="HU")
    assert ct.describe().startswith("window 0/2000 HU, 128 x 128 pixels, ")
    pet = ImageModality(shape=(64, 32), suv=True, features="pixels", pool="max")
    assert pet.describe() == "SUV by body weight, 64 x 32 pixels, slices: max"
    assert ImageModality(channel=1).describe().startswith("green channel, ")


def test_model_files_keep_channel_and_suv_and_do_without(tmp_path):
    rng = np.random.default_rng(0)
    blocks = {"mri": Block(rng.normal(size=(8, 3)).astype(np.float32), np.ones(8, bool))}
    modality = ImageModality(channel=2, suv=True)
    model = MultimodalClassifier({"mri": modality}).fit(blocks, [0, 1] * 4)
    assert load_model(save_model(model, tmp_path / "a")).modalities == {"mri": modality}
    for name in ("channel", "suv"):  # as in a file that was written before there were these
        del modality.__dict__[name]
    loaded = load_model(save_model(model, tmp_path / "b")).modalities["mri"]
    assert (loaded.channel, loaded.suv) == (None, False)


def test_real_colour_pictures(real_data):
    folder = real_data / "lgg"
    with (folder / "cohort.csv").open(newline="") as opened:
        paths = [folder / row["mri"] for row in csv.DictReader(opened)][:3]
    loaded = ImageModality(channel=1, normalize="zscore").load(paths)
    for path, images in zip(paths, loaded.images, strict=True):
        for file, found in zip(sorted(path.iterdir()), images, strict=True):
            pixels = np.asarray(Image.open(file))[..., 1].astype(np.float32)
            small = cv2.resize(pixels, (128, 128)).astype(np.float64)
            np.testing.assert_allclose(found, (small - small.mean()) / small.std(), atol=2e-5)
