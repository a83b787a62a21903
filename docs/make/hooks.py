"""The hooks of MkDocs: what is generated joins the pages that are written.

What takes long (pictures, the published numbers) runs in other processes while the pages are rendered.
"""

import os
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from docs.make import drawing, font, names, numbers, reference

os.environ.setdefault("JAX_PLATFORMS", "cpu")
POOL: list[ProcessPoolExecutor] = []
PICTURES: dict[str, Future] = {}
NUMBERS: list[Future] = []
LATE = "numbers.md"  # rendered last, when it is ready


def on_config(config: Any) -> Any:
    """Begin with what takes long."""
    POOL[:] = [ProcessPoolExecutor(2, mp_context=get_context("spawn"))]
    NUMBERS[:] = [POOL[0].submit(numbers.numbers)]
    PICTURES.update({name: POOL[0].submit(drawing.drawn, name) for name in drawing.names()})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what is generated."""
    for name in drawing.names():
        for shade in drawing.COLOURS:
            files.append(File.generated(config, f"pictures/{name}-{shade}.svg", content=b""))
    files.append(File.generated(config, "assets/math.woff", content=font.math_font()))
    style = Path(__file__).parent / "style.css"
    files.append(File.generated(config, "assets/style.css", content=style.read_bytes()))
    for page in names.pages():
        files.append(File.generated(config, f"reference/{page.name}.md", content=reference.page(page)))
    files.append(File.generated(config, "reference/optax.md", content=reference.optax()))
    files.append(File.generated(config, "reference/index.md", content=reference.index()))
    files.append(File.generated(config, "examples.md", content=reference.examples()))
    files.append(File.generated(config, LATE, content=""))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Each picture is there in two shades, and the numbers are there by now."""
    return NUMBERS[0].result() if page.file.src_uri == LATE else drawing.two_shades(markdown)


def on_env(env: Any, config: Any, files: Files) -> None:
    """Before files are copied: the pictures are drawn by now."""
    for name, future in PICTURES.items():
        for shade, content in future.result().items():
            file = files.get_file_from_path(f"pictures/{name}-{shade}.svg")
            assert file is not None
            file.content_bytes = content


def on_shutdown() -> None:
    """Leave no process behind."""
    for pool in POOL:
        pool.shutdown(cancel_futures=True)
