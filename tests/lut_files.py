"""Small DICOM files whose values go through a Modality LUT."""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset

NO_RESCALE = {"RescaleSlope": None, "RescaleIntercept": None}


def lut(descriptor, data: bytes, kind="US", *, vr="US", descriptor_vr="US", big=False):
    item = Dataset()
    order = ">" if big else "<"
    item.add_new("LUTDescriptor", descriptor_vr, list(descriptor))
    item.ModalityLUTType = kind
    if vr == "OW":
        item.add_new("LUTData", "OW", data)
    else:
        item.add_new("LUTData", "US", list(struct.unpack(f"{order}{len(data) // 2}H", data)))
    return {"ModalityLUTSequence": [item]}
