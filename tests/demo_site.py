"""A made-up Python installation for tests: a standard library and a few distributions."""

from pathlib import Path

import numpy as np
from conftest import prose, vocabulary

from curate.demo import Environment

HELD_OUT_SIZED = ("beta", "gamma", "delta", "epsilon")


class Site:
    """A made-up installation: a standard library and a few distributions."""

    def __init__(self, root: Path):
        self.root = root
        self.standard = root / "lib"
        self.packages = root / "lib" / "site-packages"
        self.rng = np.random.default_rng(11)
        self.words = vocabulary(self.rng, size=600)
        (self.standard / "pydoc_data").mkdir(parents=True)
        self.packages.mkdir()

    @property
    def environment(self):
        return Environment(standard_library=self.standard, packages=(self.packages,))

    def text(self, n_words=170):
        return prose(self.rng, self.words, n_words)

    def module(self, n_functions):
        doc = f'"""{self.text()}"""\n'
        return doc + "".join(
            f'\n\ndef f{i}():\n    """{self.text()}"""\n' for i in range(n_functions)
        )

    def write(self, path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def distribution(self, name, files):
        info = f"{name}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name.title()}\nVersion: 1.0\n\n{self.text()}"
        files = {**files, f"{info}/METADATA": metadata}
        for path, content in files.items():
            self.write(self.packages / path, content)
        record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD", "../../bin/tool"])
        self.write(self.packages / info / "RECORD", record)


def make_site(root):
    site = Site(root)
    topics = {f"topic{i}": site.text() for i in range(6)} | {"short": "too short"}
    site.write(site.standard / "pydoc_data" / "topics.py", f"topics = {topics!r}\n")
    site.write(site.standard / "json" / "decoder.py", site.module(30))
    site.write(site.standard / "test" / "test_json.py", site.module(5))
    site.write(site.standard / "LICENSE.txt", site.text())
    flag = site.root / "was-run"
    side_effect = f"open({str(flag)!r}, 'w').close()\nraise RuntimeError\n"
    site.distribution(
        "alpha",
        {
            "alpha/core.py": site.module(300),
            "alpha/run.py": (f'"""{site.text()}"""\n{side_effect}'),
        },
    )
    for name in HELD_OUT_SIZED:
        site.distribution(
            name,
            {
                f"{name}/a.py": site.module(20),
                f"{name}/_vendor/other/b.py": site.module(3),
                f"{name}/tests/test_a.py": site.module(3),
                f"{name}-1.0.dist-info/licenses/LICENSE.md": site.text(),
                f"{name}/README.md": site.text(),
            },
        )
    site.distribution("tiny", {"tiny.py": site.module(1)})
    return site
