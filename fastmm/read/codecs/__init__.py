"""Compressed pixels of DICOM, decoded in processes of their own."""
