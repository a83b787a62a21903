"""Folders that a sweep writes to: they are on this machine, and are made before any work is done."""

import re
from pathlib import Path
from typing import Any

from gradtx._value.errors import TransformationError


def local_folder(who: str, folder: Any) -> Path:
    """The folder as a path; or a `TransformationError` where it is elsewhere, a file, or no path at all."""
    try:
        path = Path(folder)
    except TypeError:
        raise TransformationError(f"{who}: folder: expected a path, found {folder!r}") from None
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(folder)):
        raise TransformationError(
            f"{who}: folder: expected one on this machine, found {str(folder)!r}: write to a disk or a mounted bucket, "
            "and copy from there"
        )
    if "\0" in str(path):
        raise TransformationError(f"{who}: folder: no path has a null character, found {str(folder)!r}")
    try:
        if path.exists() and not path.is_dir():
            raise TransformationError(f"{who}: folder: {path} is a file")
    except OSError as error:
        raise TransformationError(f"{who}: folder: {path} cannot be used: {error.strerror}") from None
    return path


def made_folder(who: str, folder: Any) -> Path:
    """The folder, made if it is not there; or a `TransformationError` where it cannot be made."""
    path = local_folder(who, folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TransformationError(f"{who}: folder: {path} cannot be made: {error.strerror}") from None
    return path
