"""What stands below each key of a model that a person writes: the words of its JSON Schema and of the documentation.

They are read from the model's source when they are wanted. Pydantic would read them as a class is made
(`use_attribute_docstrings`), which parses every model again at each start, for words that no command prints.
"""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field of a model says of itself, by the field's name."""
    made = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(made, ast.ClassDef)
    found = {}
    for field, below in pairwise(made.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


def describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Say in the JSON Schema of a model what stands below each of its keys, in place of what their types say."""
    parts, says = schema.get("properties", {}), field_docs(model)
    for name, field in model.model_fields.items():
        part, text = parts.get(field.alias or name), says.get(name)
        if part is None or text is None or ("$ref" in part and text == inspect.getdoc(field.annotation)):
            continue  # a reference says what stands at its other end
        part["description"] = text
