"""Uses generated clients against the service and against a later version of it.

Both clients send the same requests: they place an order, take it, find it, list orders, and receive
errors. What differs is generated: the operations and models of `operations`, which is the package
that openapi-python-client generates, and the models of `pydantic_models`, which datamodel-codegen
generates.
"""

from __future__ import annotations

import sys
import traceback

import httpx
import operations
import operations.models
import pydantic_models
from operations.api.orders import find_order, list_orders, place_order, take_order
from operations.api.service import readyz

import later

ORIGIN = ["50.456399", "12.707580"]
DESTINATION = ["59.436487", "24.747193"]
NO_POINT = ["91", "0"]
INVALID = {"origin": NO_POINT, "destination": DESTINATION}
PRECISE = {"Accept": "application/problem+json"}
UNKNOWN_ID = 2**53 - 1
# Without the proxy that the environment may name.
DIRECT = {"trust_env": False}


class OperationsClient:
    """The client of openapi-python-client."""

    name = "openapi-python-client"
    models = operations.models

    def __init__(self, address: str):
        self.plain = operations.Client(base_url=address, httpx_args=DIRECT)
        self.precise = operations.Client(base_url=address, httpx_args=DIRECT, headers=PRECISE)

    def body(self, origin):
        return self.models.PlaceOrder(origin=origin, destination=DESTINATION)

    def place(self):
        return place_order.sync(client=self.plain, body=self.body(ORIGIN))

    def take(self, id):
        body = self.models.TakeOrder(status=self.models.TakeOrderStatus.TAKEN)
        return take_order.sync(id, client=self.precise, body=body)

    def find(self, id):
        return find_order.sync(id, client=self.precise)

    def list(self, limit):
        taken = self.models.ListOrdersStatus.TAKEN
        return list_orders.sync(client=self.plain, limit=limit, page=1, status=taken)

    def place_at_no_point(self):
        return place_order.sync(client=self.plain, body=self.body(NO_POINT))

    def invalid(self, method, path, body=None):
        # Of the two formats of status 400, the generated operations read only the first one.
        response = self.precise.get_httpx_client().request(method, path, json=body)
        return self.models.Problem.from_dict(response.json())

    def is_ready(self):
        return readyz.sync(client=self.plain)

    def additional(self, model):
        return getattr(model, "additional_properties", {})


class PydanticClient:
    """The models of datamodel-codegen, which generates no operations."""

    name = "datamodel-code-generator"
    models = pydantic_models

    def __init__(self, address: str):
        self.http = httpx.Client(base_url=address, **DIRECT)

    def send(self, method, path, model, request=None, headers=None):
        body = None if request is None else request.model_dump(mode="json")
        response = self.http.request(method, path, json=body, headers=headers)
        if response.is_error and headers == PRECISE:
            model = self.models.Problem
        return model.model_validate_json(response.content)

    def place(self):
        request = self.models.PlaceOrder(origin=ORIGIN, destination=DESTINATION)
        return self.send("POST", "/orders", self.models.Order, request)

    def take(self, id):
        request = self.models.TakeOrder(status="TAKEN")
        return self.send("PATCH", f"/orders/{id}", self.models.Taken, request, PRECISE)

    def find(self, id):
        return self.send("GET", f"/orders/{id}", self.models.OrderDetails, headers=PRECISE)

    def list(self, limit):
        response = self.http.get(f"/orders?limit={limit}&page=1&status=TAKEN")
        return [self.models.Order.model_validate(order) for order in response.json()]

    def place_at_no_point(self):
        # The model of the request is closed, so it cannot hold this point.
        response = self.http.post("/orders", json=INVALID)
        return self.models.Error.model_validate_json(response.content)

    def invalid(self, method, path, body=None):
        response = self.http.request(method, path, json=body, headers=PRECISE)
        return self.models.Problem.model_validate_json(response.content)

    def is_ready(self):
        response = self.http.get("/readyz")
        model = self.models.NotReady if response.is_error else self.models.Ready
        return model.model_validate_json(response.content)

    def additional(self, model):
        return {}


def text(value) -> str:
    """A value as text. Generators wrap strings in types of their own."""
    return str(getattr(value, "root", getattr(value, "value", value)))


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, found {actual!r}")


def use(client, is_later: bool):
    def status(known):
        return later.STATUS if is_later else known

    def code(known):
        return later.CODE if is_later else known

    order = client.place()
    equal(text(order.status), status("UNASSIGNED"))
    equal(order.distance > 1_000_000, True)
    equal(text(client.take(order.id).status), "SUCCESS")

    found = client.find(order.id)
    equal((found.id, text(found.status)), (order.id, status("TAKEN")))
    equal(found.taken_at is None, False)
    listed = client.list(1)
    equal([(entry.id, text(entry.status)) for entry in listed], [(order.id, status("TAKEN"))])

    problems = (
        (client.take(order.id), 409, "order_already_taken"),
        (client.find(UNKNOWN_ID), 404, "order_not_found"),
        (client.invalid("GET", "/orders?page=1&limit=0"), 400, "invalid_request"),
        (client.invalid("POST", "/orders", INVALID), 400, "invalid_request"),
    )
    for problem, expected, known in problems:
        # The status is as before: a client that does not know the code decides by it.
        equal((problem.status, text(problem.code)), (expected, code(known)))
    ((in_query,), (in_body,)) = (problem.errors for problem, *_ in problems[2:])
    in_query, in_body = (getattr(violation, "root", violation) for violation in (in_query, in_body))
    place = later.PLACE if is_later else "query"
    equal((text(in_query.parameter), text(in_query.in_)), ("limit", place))
    equal(text(in_body.pointer), "/origin/0")
    error = client.place_at_no_point()
    equal("latitude" in error.error, True)

    if is_later:
        equal(text(client.is_ready().error), later.REASON)
    else:
        equal(text(client.is_ready().status), "ready")
    if isinstance(client, OperationsClient):
        # The additional members are received, and kept.
        for model in (order, found, *listed, problem, in_query, in_body, error):
            equal(set(client.additional(model)), {later.MEMBER} if is_later else set())


def main(service: str):
    failures = 0
    with later.LaterVersion(service.removeprefix("http://")) as proxy:
        for client in (OperationsClient, PydanticClient):
            for address, is_later in ((service, False), (proxy.address, True)):
                version = "a later version" if is_later else "this version"
                try:
                    use(client(address), is_later)
                    print(f"ok: {client.name} with {version} of the service")
                except Exception:
                    traceback.print_exc()
                    print(f"FAILED: {client.name} with {version} of the service")
                    failures += 1
    sys.exit(bool(failures))


main(sys.argv[1])
