"""Small PET files whose dose and times are known."""

from __future__ import annotations

import warnings

from dicom_files import image, write
from pydicom.dataset import Dataset

F18 = 6586.2


def injected(**tags) -> dict[str, list[Dataset]]:
    """Return 370 MBq of fluorine-18 at 10:10:10; a tag given as None is left out."""
    item = Dataset()
    given = {
        "RadionuclideTotalDose": "3.7e8",
        "RadionuclideHalfLife": str(F18),
        "RadiopharmaceuticalStartTime": "101010",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are wrong on purpose
        for name, value in (given | tags).items():
            if value is not None:
                setattr(item, name, value)
    return {"RadiopharmaceuticalInformationSequence": [item]}


def pet(path, **tags):
    """Write a slice whose scan began at 11:10:10 and whose frame was taken at 11:33:44."""
    given = {
        "Modality": "PT", "Units": "BQML", "DecayCorrection": "START",
        "CorrectedImage": ["NORM", "DTIM", "ATTN", "SCAT", "DECY"],
        "PatientWeight": "70", "SeriesDate": "20200229", "SeriesTime": "111010",
        "AcquisitionDate": "20200229", "AcquisitionTime": "113344",
        "RescaleSlope": "2.5", "RescaleIntercept": "0",
    } | injected()  # fmt: skip
    tags = {k: v for k, v in (given | tags).items() if v is not None or k.startswith("Rescale")}
    return write(path, image(low=0), **tags)
