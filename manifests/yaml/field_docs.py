"""The docstrings below the keys of a model: the descriptions in its JSON Schema and in the documentation.

They are read from the model's source when they are needed. Pydantic would read them when a class is created
(`use_attribute_docstrings`), which parses every model again at each start for texts that no command prints.
"""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring of each field of a model, by the field's name."""
    made = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(made, ast.ClassDef)
    found = {}
    for field, below in pairwise(made.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


def describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Write the docstring of each key into the JSON Schema of a model, instead of the description of its type."""
    parts, says = schema.get("properties", {}), field_docs(model)
    for name, field in model.model_fields.items():
        part, text = parts.get(field.alias or name), says.get(name)
        if part is None or text is None or ("$ref" in part and text == inspect.getdoc(field.annotation)):
            continue  # the referenced schema has its own description
        part["description"] = text
