"""The README's Python runs as it stands, and its files exist."""

import re

import pytest
from harness import ROOT, run_python

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
def test_python_of_the_readme_runs(code, tmp_path):
    assert run_python(code, cwd=tmp_path)


def test_links_of_the_readme_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        if "://" not in link:
            assert (ROOT / link).is_file(), link
