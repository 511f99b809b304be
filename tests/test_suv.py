"""SUV against numbers worked out by hand; without what it takes, an error that names it."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_files import image, write
from lut_files import lut
from pet_files import F18, injected, pet
from pydicom.dataset import Dataset

from fastmm.errors import DicomError
from fastmm.read.dicom.slices import read_header, read_pixels
from fastmm.read.dicom.suv import to_suv

SECRET_WEIGHT = "73.21987"
SECRET_TIMES = ("101010", "20200229", "113344")


def factor(header) -> float:
    suv = to_suv(header)
    assert suv.units == "SUV"
    assert suv.intercept.tolist() == [0]
    return float(suv.slope[0] / header.slope[0])


def test_decay_from_the_injection_to_the_start_of_the_scan(tmp_path):
    header = read_header(pet(tmp_path / "a.dcm"))
    # One hour: 370 MBq * 2^(-3600 / 6586.2) = 253.314 MBq are left, 70,000 g / 253.314 MBq.
    assert factor(header) == pytest.approx(2.76337e-4, rel=1e-5)
    assert factor(header) == pytest.approx(70_000 / (3.7e8 * 2 ** (-3600 / F18)), rel=1e-14)
    values = read_pixels(to_suv(header)).values()
    expected = image(low=0) * 2.5 * 70_000 / (3.7e8 * np.exp(-np.log(2) * 3600 / F18))
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)


def test_no_decay_where_the_image_is_corrected_to_the_injection(tmp_path):
    path = pet(tmp_path / "a.dcm", DecayCorrection="ADMIN", SeriesTime=None, AcquisitionTime=None)
    assert factor(read_header(path)) == pytest.approx(70_000 / 3.7e8, rel=1e-14)


@pytest.mark.parametrize(
    ("tags", "seconds"),
    [
        (injected(RadiopharmaceuticalStartTime="10"), 4210),
        (injected(RadiopharmaceuticalStartTime="10:10:10"), 3600),
        (injected(RadiopharmaceuticalStartTime="101010.500000"), 3599.5),
        (injected(RadiopharmaceuticalStartDateTime="20200229102010"), 3000),
        (injected(RadiopharmaceuticalStartDateTime="20200228231010",
                  RadiopharmaceuticalStartTime=None), 43200),
        # Over midnight, with the dates and without.
        ({"SeriesTime": "003000", "AcquisitionTime": "004000",
          **injected(RadiopharmaceuticalStartTime="233000")}, 3600),
        ({"SeriesTime": "003000", "AcquisitionTime": "004000", "SeriesDate": None,
          "AcquisitionDate": None, **injected(RadiopharmaceuticalStartTime="233000")}, 3600),
        ({"SeriesTime": "003000", "SeriesDate": "20200301", "AcquisitionDate": "20200301",
          **injected(RadiopharmaceuticalStartDateTime="20200229233000.0")}, 3600),
        ({"SeriesTime": "235900", "AcquisitionTime": "000100", "AcquisitionDate": "20200301",
          **injected(RadiopharmaceuticalStartTime="225900")}, 3600),
        ({"SeriesDate": None, "AcquisitionDate": None}, 3600),
        ({"TimezoneOffsetFromUTC": "+0100",
          **injected(RadiopharmaceuticalStartDateTime="20200229101010+0100")}, 3600),
        ({"AcquisitionTime": None, "AcquisitionDateTime": "20200229113344.00"}, 3600),
        # Long-lived nuclides with dates: zirconium-89, three days and one hour.
        (injected(RadionuclideHalfLife="282276",
                  RadiopharmaceuticalStartDateTime="20200226101010"), 3 * 86400 + 3600),
    ],
)  # fmt: skip
def test_delay(tmp_path, tags, seconds):
    header = read_header(pet(tmp_path / "a.dcm", **tags))
    half_life = float(
        (tags | {})
        .get("RadiopharmaceuticalInformationSequence", [Dataset()])[0]
        .get("RadionuclideHalfLife", F18)
    )
    assert factor(header) == pytest.approx(70_000 / (3.7e8 * 2 ** (-seconds / half_life)))


def test_a_series_made_afterwards_is_traced_back(tmp_path):
    late = {"SeriesTime": "180000"}
    with pytest.raises(DicomError, match=r"SeriesTime .*FrameReferenceTime \(0054,1300\)"):
        to_suv(read_header(pet(tmp_path / "a.dcm", **late)))
    # A short frame, so that its average count rate is that of its middle: 11:33:44 + 5 s
    # less 1414 + 5 s is 11:10:10.
    tags = {"FrameReferenceTime": "1419000", "ActualFrameDuration": "10000"}
    header = read_header(pet(tmp_path / "b.dcm", **late, **tags))
    assert factor(header) == pytest.approx(70_000 / (3.7e8 * 2 ** (-3600 / F18)), rel=1e-6)
    # A frame of 90 minutes: the moment at which the count rate is its average over the frame.
    rate, frame = np.log(2) / F18, 5400.0
    times = (np.arange(200_000) + 0.5) / 200_000 * frame
    average = -np.log(np.exp(-rate * times).mean()) / rate
    tags = {"FrameReferenceTime": "1500000", "ActualFrameDuration": "5400000"}
    header = read_header(pet(tmp_path / "c.dcm", **late, **tags))
    delay = (11 * 3600 + 33 * 60 + 44) + average - 1500 - (10 * 3600 + 10 * 60 + 10)
    assert factor(header) == pytest.approx(70_000 / (3.7e8 * 2 ** (-delay / F18)), rel=1e-8)


def test_the_private_scan_time_of_ge(tmp_path):
    path = pet(tmp_path / "a.dcm", SeriesTime="180000")
    ds = pydicom.dcmread(path)
    block = ds.private_block(0x0009, "GEMS_PETD_01", create=True)
    block.add_new(0x0D, "DT", "20200229111010.00")
    ds.save_as(path)
    assert factor(read_header(path)) == pytest.approx(70_000 / (3.7e8 * 2 ** (-3600 / F18)))


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"PatientWeight": None}, r"PatientWeight \(0010,1030\) is missing"),
        ({"PatientWeight": ""}, "PatientWeight .* is empty"),
        ({"PatientWeight": "0"}, "PatientWeight .* positive number of kg"),
        ({"PatientWeight": "-70"}, "PatientWeight .* positive number of kg"),
        ({"PatientWeight": "70000"}, "PatientWeight .* not in kg"),
        ({"RadiopharmaceuticalInformationSequence": None},
         r"RadiopharmaceuticalInformationSequence \(0054,0016\) must have one item, got 0"),
        (injected(RadionuclideTotalDose=None), r"RadionuclideTotalDose \(0018,1074\) is missing"),
        (injected(RadionuclideTotalDose="0"), "RadionuclideTotalDose .* positive number of Bq"),
        (injected(RadionuclideTotalDose="370"), "RadionuclideTotalDose .* not in Bq"),
        (injected(RadionuclideHalfLife=None), r"RadionuclideHalfLife \(0018,1075\) is missing"),
        (injected(RadionuclideHalfLife="0"), "RadionuclideHalfLife .* positive number of s"),
        (injected(RadionuclideHalfLife="109.8"), "RadionuclideHalfLife .* half-lives after"),
        (injected(RadiopharmaceuticalStartTime=None),
         r"RadiopharmaceuticalStartTime \(0018,1072\) is missing"),
        (injected(RadiopharmaceuticalStartTime="251010"), "StartTime .* is no time of day"),
        (injected(RadiopharmaceuticalStartTime="noon"), "StartTime .* is no time of day"),
        (injected(RadiopharmaceuticalStartTime="112000"), "StartTime .* after the start of the sc"),
        (injected(RadiopharmaceuticalStartDateTime="20200229112000"), "after the start of"),
        (injected(RadiopharmaceuticalStartDateTime="20200231112000"), "is no date"),
        (injected(RadiopharmaceuticalStartDateTime="20200229"), "is no date and time"),
        (injected(RadiopharmaceuticalStartDateTime="20200229101010+0100"),
         r"offset from UTC that TimezoneOffsetFromUTC \(0008,0201\)"),
        (injected(RadionuclideHalfLife="282276"), "half-life is too long"),
        ({"DecayCorrection": "NONE"}, r"DecayCorrection \(0054,1102\) must be START or ADMIN"),
        ({"DecayCorrection": None}, "DecayCorrection .* is missing"),
        ({"CorrectedImage": ["ATTN", "NORM"]}, r"CorrectedImage \(0028,0051\) must hold DECY"),
        ({"CorrectedImage": ["DECY"]}, "CorrectedImage .* must hold ATTN"),
        ({"CorrectedImage": None}, "CorrectedImage .* must hold ATTN and DECY"),
        ({"Units": "GML", "SUVType": "LBM"}, r"SUVType \(0054,1006\) is of another kind"),
        ({"Units": "CNTS"}, r"Units \(0054,1001\) must be BQML"),
        ({"Units": None}, "Units .* must be BQML"),
        ({"AcquisitionTime": None}, r"AcquisitionTime \(0008,0032\) is missing"),
        ({"SeriesTime": None}, r"SeriesTime \(0008,0031\) is missing"),
        ({"RescaleSlope": None, "RescaleIntercept": None, **lut((4, 0, 16), bytes(8))},
         r"ModalityLUTSequence \(0028,3000\) gives values that are no activity"),
        ({"Modality": "NM"}, r"Modality \(0008,0060\) must be PT"),
    ],
)  # fmt: skip
def test_what_is_missing_or_impossible_is_named(tmp_path, tags, what):
    header = read_header(pet(tmp_path / "a.dcm", **({"PatientWeight": SECRET_WEIGHT} | tags)))
    with pytest.raises(DicomError, match=what) as caught:
        to_suv(header)
    message = str(caught.value).replace(str(tmp_path), "")
    assert SECRET_WEIGHT not in message
    assert not any(secret in message for secret in SECRET_TIMES)


def test_frames_are_not_turned(tmp_path):
    stack = np.stack([image(low=0)] * 2)
    path = write(tmp_path / "a.dcm", stack, NumberOfFrames=2, Modality="PT", Units="BQML")
    with pytest.raises(DicomError, match="multi-frame PET"):
        to_suv(read_header(path))


def test_real_pet_is_in_suv_already(real_data):
    path = min((real_data / "sts" / "STS_001" / "pet").iterdir())
    header = read_header(path)
    assert header.units == "SUV"
    assert to_suv(header) is header


def test_real_pet_called_back_to_activity(real_data, tmp_path):
    # Its SUV was made with decay correction to the injection: dividing by weight / dose and
    # converting again must give it back.
    path = min((real_data / "sts" / "STS_001" / "pet").iterdir())
    expected = read_pixels(read_header(path)).values()
    ds = pydicom.dcmread(path)
    dose = float(ds.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose)
    slope = float(ds.RescaleSlope) * dose / (float(ds.PatientWeight) * 1000)
    ds.Units, ds.RescaleSlope = "BQML", f"{slope:.9g}"
    del ds.SUVType
    ds.save_as(tmp_path / "a.dcm")
    header = read_header(tmp_path / "a.dcm")
    assert header.units == "Bq/ml"
    np.testing.assert_allclose(read_pixels(to_suv(header)).values(), expected, rtol=1e-6)
