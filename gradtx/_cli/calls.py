"""Transformations and schedules from the text of their calls, such as ``chain(clip(1.0), adam(0.1))``."""

import ast
from typing import Any

import gradtx
from gradtx._cli.catalogue import factories
from gradtx._value.errors import TransformationError, suggest


def read(text: str) -> Any:
    """A transformation (or a schedule) from the text of its call.

    Only calls of gradtx's own factories and literal values are read. Raises `TransformationError`: anything else.

    >>> read("sgd(0.1, momentum=0.9)")
    sgd(learning_rate=0.1, momentum=0.9)
    """
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise TransformationError(f"{text!r} is no call: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, TransformationError):
            raise
        raise TransformationError(f"{_short(text)!r} is no call") from None  # null bytes; nested without end


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        name = name.removeprefix("gradtx.")
        known = factories()
        if name not in known:
            raise TransformationError(
                f"no transformation or schedule {name!r}{suggest(name.rpartition('.')[2], known)}"
            )
        starred = [arg for arg in node.args if isinstance(arg, ast.Starred)]
        if starred or any(keyword.arg is None for keyword in node.keywords):
            raise TransformationError(f"{name}: its arguments are to be written out, without stars")
        names = [keyword.arg or "" for keyword in node.keywords]
        twice = next((keyword for keyword in names if names.count(keyword) > 1), None)
        if twice is not None:
            raise TransformationError(f"{name}: {twice}: given twice")
        keywords = {keyword.arg or "": _value(keyword.value) for keyword in node.keywords}
        return getattr(gradtx, name)(*map(_value, node.args), **keywords)
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(part) for part in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.Dict) and all(node.keys):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise TransformationError(f"expected a call or a literal, found {_short(ast.unparse(node))!r}") from None


def _short(text: str) -> str:
    return f"{text[:60]}..." if len(text) > 60 else text
