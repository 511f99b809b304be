"""Headers that contradict the codestream: sizes, precision, signs, colours, syntax."""

from __future__ import annotations

import io

import numpy as np
import pytest
from codestreams import BASELINE, J2K, JLS, LOSSLESS, STEM, compressed, encode, picture

from fastmm.errors import DicomError
from fastmm.read.codecs import choosing as codecs
from fastmm.read.dicom.slices import read_header, read_slice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize(
    ("told", "colours"), [("YBR_FULL", "RGB"), ("RGB", "YBR"), ("YBR_ICT", ""), ("YBR_RCT", "YBR")]
)
def test_colours_that_contradict_the_header(tmp_path, told, colours):
    from PIL import Image

    rgb = np.stack([picture(i, 8) for i in range(3)], -1)
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", keep_rgb=colours == "RGB")
    path = compressed(
        tmp_path / "a.dcm", BASELINE, out.getvalue(), rgb, 8, PhotometricInterpretation=told
    )
    with pytest.raises(DicomError, match=rf"\(0028,0004\) {told} contradicts"):
        read_slice(path, channel=0)


@pytest.mark.parametrize("told", ["YBR_RCT", "YBR_ICT"])
def test_a_transform_that_is_told_but_not_there(tmp_path, told):
    utils = pytest.importorskip("openjpeg.utils")
    rgb = np.stack([picture(i, 8) for i in range(3)], -1)
    for use, fine in ((True, True), (False, False)):
        data = bytes(utils.encode_array(rgb, photometric_interpretation=1, use_mct=use))
        path = compressed(tmp_path / "a.dcm", J2K, data, rgb, 8, PhotometricInterpretation=told)
        if fine:
            np.testing.assert_array_equal(read_slice(path, channel=0).stored[0], rgb[..., 0])
        else:
            with pytest.raises(DicomError, match="no component transform"):
                read_slice(path, channel=0)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS])
def test_signs_that_differ_keep_their_bits(tmp_path, syntax):
    signed = picture(4, 12, signed=True)
    bits = (signed.view("u2") & 0xFFF).astype("u2")
    path = compressed(tmp_path / "a.dcm", syntax, encode(syntax, bits, 12), signed, 12)
    np.testing.assert_array_equal(read_slice(path).stored[0], signed)
    if syntax == J2K:  # the only codestream that has a sign
        path = compressed(tmp_path / "b.dcm", syntax, encode(syntax, signed, 12), bits, 12)
        np.testing.assert_array_equal(read_slice(path).stored[0], bits)


def test_precision_that_differs(tmp_path):
    wide = picture(5, 16)
    data = encode(J2K, wide, 16)
    # Wider than BitsStored: the container, of which the header names the bits.
    path = compressed(tmp_path / "a.dcm", J2K, data, wide, 12)
    np.testing.assert_array_equal(read_slice(path).stored[0], wide & 0xFFF)
    path = compressed(tmp_path / "a.dcm", J2K, data, wide, 12, HighBit=15)
    np.testing.assert_array_equal(read_slice(path).stored[0], wide >> 4)
    # The same in a lossy syntax, where cutting bits would wrap noise around.
    path = compressed(tmp_path / "a.dcm", STEM + "91", data, wide, 12)
    with pytest.raises(DicomError, match=r"BitsStored \(0028,0101\) is 12.*16 bits"):
        read_slice(path)
    narrow = picture(5, 12)
    data = encode(J2K, narrow, 12)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow, 16)
    np.testing.assert_array_equal(read_slice(path).stored[0], narrow)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow, 12, HighBit=15)
    with pytest.raises(DicomError, match=r"HighBit \(0028,0102\) is 15"):
        read_slice(path)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow.astype("i2"), 16)
    with pytest.raises(DicomError, match=r"PixelRepresentation.*unsigned"):
        read_slice(path)
    half = narrow >> 1  # its highest bit is never set, so the sign cannot matter
    path = compressed(tmp_path / "a.dcm", J2K, encode(J2K, half, 12), half.astype("i2"), 16)
    np.testing.assert_array_equal(read_slice(path).stored[0], half)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow.astype("u1"), 8)
    with pytest.raises(DicomError, match=r"BitsAllocated \(0028,0100\) is 8"):
        read_slice(path)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS, STEM + "201"])
@pytest.mark.parametrize("name", ["Rows", "Columns", "SamplesPerPixel"])
def test_sizes_that_contradict_the_header(tmp_path, syntax, name):
    pixels = picture(6, 16)
    data = encode(syntax, pixels, 16)
    wrong = {"Rows": 41, "Columns": 18, "SamplesPerPixel": 3}[name]
    more = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0} if wrong == 3 else {}
    path = compressed(tmp_path / "a.dcm", syntax, data, pixels, 16, **{name: wrong}, **more)
    with pytest.raises(DicomError, match=rf"{name} \(.*is {wrong}, but the codestream"):
        read_slice(path, channel=0)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS, BASELINE, STEM + "51"])
def test_a_syntax_that_lies(tmp_path, syntax):
    pixels = picture(7, 16)
    for true in (J2K, JLS, LOSSLESS):
        if true != syntax:
            path = compressed(tmp_path / "a.dcm", syntax, encode(true, pixels, 16), pixels, 16)
            with pytest.raises(DicomError, match="TransferSyntaxUID"):
                read_slice(path)


@pytest.mark.parametrize(
    ("syntax", "package"),
    [(J2K, "pylibjpeg-openjpeg"), (JLS, "pyjpegls"), (LOSSLESS, "imagecodecs")],
)
def test_a_missing_decoder_is_named(tmp_path, monkeypatch, syntax, package):
    pixels = picture(8, 16)
    path = compressed(tmp_path / "a.dcm", syntax, encode(syntax, pixels, 16), pixels, 16)
    gone = {name: ("no_such_module", *rest) for name, (_, *rest) in codecs.PACKAGES.items()}
    monkeypatch.setattr(codecs, "PACKAGES", gone)
    read_header(path)
    with pytest.raises(DicomError) as caught:
        read_slice(path)
    for part in (syntax, codecs.CODECS[syntax].name, package, 'pip install "fastmm[codecs]"'):
        assert part in str(caught.value)
