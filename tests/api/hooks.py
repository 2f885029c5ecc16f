"""Extends Schemathesis with two rules that the OpenAPI document cannot express.

The schemas of responses allow other members and values than the documented ones. A response of the
service has none.

A list needs exactly one of `page` and `before`. OpenAPI describes each query parameter separately,
so by the document a request with both, or with neither, is valid. Such requests are sent, and count
as invalid.
"""

import atexit
import json
from collections import Counter

import jsonschema_rs
import schemathesis
from schemathesis.generation import GenerationMode

from closed import closed


def is_list_without_one_window(case):
    query = case.query or {}
    return (
        case.operation.path == "/orders"
        and case.method == "GET"
        and ("page" in query) == ("before" in query)
    )


@schemathesis.hook
def map_case(context, case):
    if case.meta is not None and is_list_without_one_window(case):
        case.meta.generation.mode = GenerationMode.NEGATIVE
    return case


@schemathesis.check
def list_needs_one_of_page_and_before(ctx, response, case):
    if is_list_without_one_window(case):
        assert response.status_code == 400, "a list with both of page and before, or with neither"


validators = {}


def closed_validator(document, schema):
    key = json.dumps(schema, sort_keys=True)
    if key not in validators:
        whole = closed({"components": document["components"], **schema})
        validators[key] = jsonschema_rs.Draft202012Validator(whole)
    return validators[key]


@schemathesis.check
def response_has_only_documented_members_and_values(ctx, response, case):
    (media_type,) = response.headers.get("content-type", [""])
    documented = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    content = documented.get("content", {}).get(media_type)
    if content is None or not media_type.endswith("json"):
        return  # Other checks report what is not documented.
    checked[media_type] += 1
    validator = closed_validator(case.operation.schema.raw_schema, content["schema"])
    for error in validator.iter_errors(json.loads(response.content)):
        raise AssertionError(f"not as documented: {error.message}")


requests = Counter()
checked = Counter()


@schemathesis.hook
def after_call(context, case, response):
    requests[case.operation.label] += 1


@atexit.register
def print_requests_by_operation():
    for operation, count in sorted(requests.items()):
        print(f"{count:7} x {operation}")
    for media_type, count in sorted(checked.items()):
        print(f"{count:7} responses compared exactly, {media_type}")
