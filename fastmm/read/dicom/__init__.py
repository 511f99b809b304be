"""DICOM: files, headers, pixels, series and volumes."""
