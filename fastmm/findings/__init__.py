"""The parts of a study: what is read, validated, tested and described; `study` joins them."""
