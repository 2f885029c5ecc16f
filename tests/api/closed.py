"""Closes the schemas of the OpenAPI document.

The schemas of responses are open, so that clients accept what a later version adds. The tests know
the version that they test: a response has no other members and values than the documented ones.
"""


def closed(node):
    """Returns a copy of a part of the document that allows no other members and values."""
    if isinstance(node, list):
        return [closed(element) for element in node]
    if not isinstance(node, dict):
        return node
    copy = {
        name: value if name in ("example", "examples") else closed(value)
        for name, value in node.items()
    }
    if isinstance(copy.get("properties"), dict):
        copy.setdefault("additionalProperties", False)
    if "x-extensible-enum" in copy:
        copy["enum"] = copy["x-extensible-enum"]
    return copy
