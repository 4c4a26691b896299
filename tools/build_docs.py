"""Write the generated pages of the documentation.

Usage
-----
    python tools/build_docs.py [DIR]       docs/ by default
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(folder: Path) -> None:
    """Write columns.md and flags.md into a folder."""
    from catalog.export.documentation import columns_page, flags_page

    for name, page in (("columns.md", columns_page()), ("flags.md", flags_page())):
        (folder / name).write_text(page, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
