"""The hooks of MkDocs: what is generated joins the pages that are written."""

import os
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from docs.make import drawing
from mkdocs.structure.files import File, Files

os.environ.setdefault("JAX_PLATFORMS", "cpu")
POOL: list[ProcessPoolExecutor] = []
PICTURES: dict[str, Future] = {}


def on_files(files: Files, config: Any) -> Files:
    """Begin with what takes long, in other processes, and add what is generated to the pages."""
    POOL[:] = [ProcessPoolExecutor(2, mp_context=get_context("spawn"))]
    PICTURES.update({name: POOL[0].submit(drawing.drawn, name) for name in drawing.names()})
    for name in PICTURES:
        for shade in drawing.COLOURS:
            files.append(File.generated(config, f"pictures/{name}-{shade}.svg", content=b""))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Each picture is there in two shades."""
    return drawing.two_shades(markdown)


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
