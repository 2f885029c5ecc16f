"""Extends Schemathesis with a rule that the OpenAPI document cannot express.

A list needs exactly one of `page` and `before`. OpenAPI describes each query parameter separately,
so by the document a request with both, or with neither, is valid. Such requests are sent, and count
as invalid.
"""

import atexit
from collections import Counter

import schemathesis
from schemathesis.generation import GenerationMode


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


requests = Counter()


@schemathesis.hook
def after_call(context, case, response):
    requests[case.operation.label] += 1


@atexit.register
def print_requests_by_operation():
    for operation, count in sorted(requests.items()):
        print(f"{count:7} x {operation}")
