"""The guide's blocks, as they are printed, and whether those of all other pages are Python."""

import re

from conftest import REPOSITORY


def test_the_guide_runs_as_it_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATASETS", str(REPOSITORY / "datasets"))
    guide = (REPOSITORY / "docs" / "guide" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "python.md", "exec"), {})
    assert [path.name.split("-")[0] for path in (tmp_path / "runs").iterdir()] == ["compare"]


def test_every_block_of_python_in_the_documentation_is_python():
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    blocks = [
        (page.name, block)
        for page in pages
        for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert len(blocks) > 15
    for page, block in blocks:
        compile(block, page, "exec")
