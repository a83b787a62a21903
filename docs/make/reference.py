"""The pages of the reference, and that of the examples, as Markdown."""

import ast
import inspect
import posixpath
import types

from docs.make import names, seen

OPTIONS = "    options: {heading_level: 3}"
OPTAX = """# gradtx.optax

`import gradtx.optax as optax` is Optax's whole surface with gradtx inside: the signatures of Optax, the forms of its
states, its modules, and one signal in a chain, as there. It is for code that was written for Optax and should run as it
stands{more}. What its names mean is documented by Optax; what computes in their place stands in this reference under
the same names.

What is not about transformations (losses, perturbations, assignment, microbatching) is Optax's own and needs Optax to
be installed.

```pycon
>>> import jax.numpy as jnp
>>> import gradtx.optax as optax
>>> params = {{"w": jnp.zeros(3)}}
>>> tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
>>> [type(part).__name__ for part in tx.init(params)]
{example}
```

| module | names |
|---|---|
{rows}
"""


def page(found: names.Page) -> str:
    """A page of the reference."""
    parts = [f"# {found.title}", found.intro]
    for section in found.sections:
        if len(found.sections) > 1 or section.title != found.intro.rstrip("."):
            parts += [f"## {section.title}"]
        for name in section.names:
            parts += [entry(name), seen_in(name, f"reference/{found.name}.md")]
    return "\n\n".join(part for part in parts if part) + "\n"


def entry(name: str) -> str:
    """What mkdocstrings makes of a name; of one that is JAX's own, its signature and its first sentence."""
    found = names.found(name)
    home = getattr(found, "__module__", None) or type(found).__module__
    if not home.startswith("jax"):
        return f"::: {name}\n{OPTIONS}"
    last = name.rpartition(".")[2]
    first = " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split())
    signature = f"{last}{inspect.signature(found)}" if inspect.isroutine(found) else f"class {last}"
    return f"### `{name}` {{ #{name} .doc-heading }}\n\n```py\n{signature}\n```\n\n{first} This is JAX's own."


def seen_in(name: str, page: str) -> str:
    """Where a name is used, as a line of links."""
    places = seen.seen().get(name, [])
    links = [_link(title, target, page) for title, target in places]
    return f'<p class="seen" markdown="span">Seen in {", ".join(links)}</p>' if links else ""


def index() -> str:
    """The first page of the reference: what stands where."""
    rows = ["| page | names | |", "|---|---:|---|"]
    for found in names.pages():
        count = sum(len(section.names) for section in found.sections)
        rows.append(f"| [{found.title}]({found.name}.md) | {count} | {found.intro} |")
    rows.append("| [gradtx.optax](optax.md) | | Optax's whole surface, with gradtx inside. |")
    letters = "".join(f"[`{name.removeprefix('gradtx.')}`][{name}]\n" for name in sorted(names.public(), key=str.lower))
    return (
        "# Reference\n\nEvery public name: its signature, its formula, an example that runs, and where it is used. "
        f"{len(names.public())} names on {len(rows) - 2} pages; the search finds each.\n\n"
        + "\n".join(rows)
        + f'\n\n## From a to z\n\n<p class="letters" markdown="span">{letters}</p>\n'
    )


def examples() -> str:
    """The files of ``examples/``, each under its question."""
    parts = ["# Examples", "One question a file, each run by the tests; they stand in the folder `examples`."]
    for path in seen.examples():
        source = path.read_text(encoding="utf-8")
        question, _, rest = (ast.get_docstring(ast.parse(source)) or path.stem).partition("\n")
        code = source.split('"""\n', 1)[1].strip() if source.startswith('"""') else source
        parts += [f"## {question} {{ #{path.stem} }}", rest.strip(), f"`examples/{path.name}`", _folded(code)]
    return "\n\n".join(part for part in parts if part) + "\n"


def optax() -> str:
    """What `gradtx.optax` is, and its modules."""
    import jax.numpy as jnp

    import gradtx.optax as optax

    state = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)).init({"w": jnp.zeros(3)})
    modules = {name: found for name, found in sorted(vars(optax).items()) if isinstance(found, types.ModuleType)}
    rows = "\n".join(f"| `optax.{name}` | {len(dir(found))} |" for name, found in modules.items() if name[0] != "_")
    there = (seen.PAGES / "coming" / "optax.md").exists()
    more = "; [From Optax](../coming/optax.md) says what to expect" if there else ""
    return OPTAX.format(rows=rows, more=more, example=[type(part).__name__ for part in state])


def _folded(code: str) -> str:
    lines = "\n".join(f"    {line}".rstrip() for line in f"```py\n{code}\n```".splitlines())
    return f'??? example "The program"\n\n{lines}'


def _link(title: str, target: str | None, page: str) -> str:
    if target is None:
        return f"`{title}`"
    return f"[{title}]({posixpath.relpath(target, posixpath.dirname(page))})"
