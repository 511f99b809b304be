"""The parts of a report: what it says, tabulates, draws and shows; `reporting` joins them."""
