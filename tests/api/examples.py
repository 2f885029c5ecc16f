"""Checks that every example in the OpenAPI document, read on standard input, fits its schema.

An example has only documented members and known values.
"""

import json
import sys

import jsonschema_rs

from closed import closed


def described(node, path="#"):
    """Yields each place with a schema and examples of it: media types, parameters, schemas."""
    if isinstance(node, list):
        for at, value in enumerate(node):
            yield from described(value, f"{path}/{at}")
    if not isinstance(node, dict):
        return
    if "schema" in node:
        if "example" in node:
            yield path, node["schema"], node["example"]
        for name, example in node.get("examples", {}).items():
            yield f"{path}/examples/{name}", node["schema"], example["value"]
    elif isinstance(node.get("examples"), list):
        for at, example in enumerate(node["examples"]):
            yield f"{path}/examples/{at}", node, example
    for name, value in node.items():
        if name not in ("example", "examples"):
            yield from described(value, f"{path}/{name}")


document = closed(json.load(sys.stdin))
count = 0
for place, schema, example in described(document):
    count += 1
    whole = {"components": document["components"], **schema}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    for error in validator.iter_errors(example):
        sys.exit(f"{place}: {error.message}")
if count < 30:
    sys.exit(f"only {count} examples were found")
print(f"{count} examples fit their schemas")
