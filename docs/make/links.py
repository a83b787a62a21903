"""Dead links of the built site: ``python -m docs.make.links build/site``.

Every file that a page points to is there, and so is every anchor. Links that leave the site are listed, and looked at
for their form only; nothing that a page needs to be shown comes from outside.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

NEEDED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}
NOT_LOADED = {"canonical", "next", "prev", "alternate", "search"}


class Page(HTMLParser):
    """The links of a page, what it loads, and its anchors."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {"", "top", "__top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points to, and where it may be pointed to."""
        found = dict(attrs)
        self.anchors.update(value for value in (found.get("id"), found.get("name")) if value)
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        elif tag in NEEDED and found.get(NEEDED[tag]) and found.get("rel") not in NOT_LOADED:
            self.loads.append(found[NEEDED[tag]] or "")


def dead(site: Path) -> tuple[list[str], list[str], int]:
    """What is wrong, the links that leave the site, and how many stay inside."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong, leaving, inside = [], set(), 0
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                leaving.add(link)
                if link in page.loads and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site)}: loads {link} from elsewhere")
                elif parts.scheme in ("http", "https") and "." not in parts.netloc:
                    wrong.append(f"{path.relative_to(site)}: {link} is no address")
                continue
            inside += 1
            reason = _missing(site, path, parts.path, unquote(parts.fragment), pages)
            if reason:
                wrong.append(f"{path.relative_to(site)}: {link}: {reason}")
    return wrong, sorted(leaving), inside


def _missing(site: Path, path: Path, to: str, anchor: str, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere, or nothing."""
    base = site if to.startswith("/") else path.parent
    target = (base / unquote(to).lstrip("/")).resolve() if to else path
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return "no such file"
    found = pages.get(target)
    return f"no anchor {anchor!r}" if anchor and found and anchor not in found.anchors else ""


def main(folder: str = "build/site") -> int:
    """Print what is wrong; 1 if anything is."""
    site = Path(folder).resolve()
    wrong, leaving, inside = dead(site)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(*(f"leaves the site: {link}" for link in leaving), sep="\n")
    print(f"{inside} links inside the site, {len(leaving)} that leave it, {len(wrong)} dead")
    return 1 if wrong or not inside else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
