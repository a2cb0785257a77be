"""What stands below a key of a model is in its schema, and is read only for one."""

from typing import Annotated

from pydantic import BaseModel, Field

from manifests.model.mirror import Mirror
from manifests.yaml.field_docs import field_docs
from manifests.yaml.validation import STRICT
from syncd.config.load import Config


class Part(BaseModel):
    """What a part is."""

    model_config = STRICT

    size: int = 0
    """How much there is,
    as bytes."""


class Whole(BaseModel):
    """What holds parts."""

    model_config = STRICT

    name: Annotated[str, Field(description="a name as of its type")] = Field(alias="named")
    """What it is called."""
    same: Part = Part()
    """What a part is."""
    other: Part = Part()
    """Another part."""
    silent: int = 0


def test_a_schema_says_what_stands_below_each_key_over_what_its_type_says():
    schema = Whole.model_json_schema(by_alias=True)
    says = {key: part.get("description") for key, part in schema["properties"].items()}
    assert says == {"named": "What it is called.", "same": None, "other": "Another part.", "silent": None}
    assert schema["$defs"]["Part"]["description"] == "What a part is."
    assert schema["$defs"]["Part"]["properties"]["size"]["description"] == "How much there is,\nas bytes."


def test_every_key_of_the_configuration_and_of_a_manifest_says_what_it_is():
    for model in (Config, Mirror):
        assert field_docs(model).keys() == model.model_fields.keys()


def test_no_source_is_read_for_it_as_a_model_is_made():
    assert {field.description for field in Config.model_fields.values()} == {None}
