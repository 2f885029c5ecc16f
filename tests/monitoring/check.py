"""Checks the dashboard and the alert rules with a Prometheus that scrapes a running service.

    check.py osrm                                     serves distances as OSRM does, prints its URL
    check.py metrics SERVICE                          prints what the service exports
    check.py queries SERVICE PROMETHEUS DASHBOARD     sends requests and evaluates every query

A query with a metric or a label that does not exist is valid and returns nothing: a panel stays
empty and an alert never fires. So every query of the dashboard must return a number, and every
selector of an alert must match a series.
"""

import http.server
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# The values of Grafana's variables. The window contains several scrapes, one per second.
VARIABLES = {"$__rate_interval": "10s", "$job": ".+", "$instance": ".+"}
SCRAPES = 4
TIMEOUT_S = 60

PLACE = {"origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]}
TAKE = {"status": "TAKEN"}

# A metric with or without braces, which may contain `"a}b"`.
SELECTOR = re.compile(r'\b(?:orders|process)_\w+(?:\{(?:[^}"]|"(?:\\.|[^"\\])*")*\})?|\bup\{[^}]*\}')
# Alternatives: each must match a series, not only one of them.
NAMES = re.compile(r'=~"(\w+(?:\|\w+)+)"')

# Without a proxy, which could not reach this 127.0.0.1.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, method="GET", body=None):
    """Returns the status and the text of the response, for every status."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with direct.open(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def expect(wanted, url, method="GET", body=None):
    """Returns the text of the response, or exits if the status is not `wanted`."""
    try:
        status, text = fetch(url, method, body)
    except OSError as error:
        sys.exit(f"{method} {url}: {error}")
    if status != wanted:
        sys.exit(f"{method} {url}: {status} instead of {wanted}: {text}")
    return text


def make_traffic(service):
    """Sends one request of each kind, so that each panel has data."""
    order = json.loads(expect(200, f"{service}/orders", "POST", PLACE))["id"]
    expect(200, f"{service}/orders/{order}", "PATCH", TAKE)
    expect(400, f"{service}/orders/{order}", "PATCH", TAKE)
    expect(200, f"{service}/orders/{order}")
    expect(200, f"{service}/orders?page=1&limit=3")
    expect(200, f"{service}/healthcheck")
    expect(404, f"{service}/no/such/path")
    expect(400, f"{service}/orders", "POST", {"origin": []})


class Prometheus:
    def __init__(self, address):
        self.address = address

    def get(self, path, **parameters):
        """Returns the data of a response of the HTTP API, or raises its error."""
        parameters = urllib.parse.urlencode(parameters)
        _, text = fetch(f"{self.address}/api/v1/{path}?{parameters}")
        response = json.loads(text)
        if response["status"] != "success":
            raise ValueError(response["error"])
        return response["data"]

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def scrapes(self):
        """Returns the number of scrapes of the service; 0 while Prometheus starts."""
        try:
            found = self.query('sum_over_time(up{job="order-api"}[5m])')
        except (OSError, ValueError):
            return 0
        return float(found[0]["value"][1]) if found else 0

    def alerts(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]


def panels_of(dashboard):
    """Yields all panels with data, also those in collapsed rows."""
    for panel in dashboard["panels"]:
        yield from panels_of(panel) if panel["type"] == "row" else [panel]


def layout_errors(dashboard):
    """Yields faults that make an import fail or look wrong."""
    taken = {}
    for panel in dashboard["panels"]:
        place, title = panel["gridPos"], panel["title"]
        across = range(place["x"], place["x"] + place["w"])
        cells = [(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])]
        if across.stop > 24:
            yield f"{title} exceeds the width"
        for other in sorted({taken[cell] for cell in cells if cell in taken}):
            yield f"{title} overlaps {other}"
        taken.update(dict.fromkeys(cells, title))
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    for panel in panels_of(dashboard):
        if not panel.get("description"):
            yield f"{panel['title']} has no description"
    for uid in re.findall(r'"datasource": \{[^}]*"uid": "(.*?)"\}', json.dumps(dashboard)):
        if uid != "${datasource}":
            yield f"the data source {uid} does not exist in other Grafana servers"


def queries_of(dashboard):
    """Yields the place of each query, and the query as Grafana would send it."""
    found = [
        (panel["title"], target["expr"])
        for panel in panels_of(dashboard)
        for target in panel["targets"]
    ]
    found += [(mark["name"], mark["expr"]) for mark in dashboard["annotations"]["list"]]
    for where, query in found:
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)
        yield where, query


def labels_of(dashboard):
    """Yields the label and the series of each variable that queries the values of a label."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"].replace("$job", VARIABLES["$job"])
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
            yield variable["name"], series, label


def selectors_of(query):
    """Yields the selectors of a query, one for each alternative."""
    for selector in SELECTOR.findall(query):
        names = NAMES.search(selector)
        if names:
            for one in names[1].split("|"):
                yield selector.replace(names[0], f'="{one}"')
        else:
            yield selector


def check_queries(prometheus, dashboard):
    """Returns the errors, and the number of queries that returned a result."""
    errors, completed = [], 0

    def run_query(where, query):
        nonlocal completed
        try:
            found = prometheus.query(query)
        except ValueError as error:
            errors.append(f"{where}: {error}: {query}")
            return None
        completed += 1
        return found

    for where, query in queries_of(dashboard):
        found = run_query(where, query)
        if found is not None and not any(math.isfinite(float(one["value"][1])) for one in found):
            errors.append(f"{where}: returns no number: {query}")
    for where, series, label in labels_of(dashboard):
        if not prometheus.get(f"label/{label}/values", **{"match[]": series}):
            errors.append(f"the variable {where} has no values")

    for alert in prometheus.alerts():
        where, query = alert["name"], alert["query"]
        if alert["health"] != "ok" or alert["state"] != "inactive":
            errors.append(f"{where}: {alert['health']}, {alert['state']}: {alert.get('lastError', '')}")
        # The state is not sufficient, because most alerts fire only after minutes.
        if found := run_query(where, query):
            errors.append(f"{where}: fires for a healthy service: {found}")
        # The selector inside absent() must match as well.
        for selector in selectors_of(query):
            if not run_query(where, selector):
                errors.append(f"{where}: no series matches {selector}")
    # Without duplicates: several alerts use the same selector.
    return list(dict.fromkeys(errors)), completed


def queries(service, address, path):
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    prometheus = Prometheus(address)
    deadline = time.monotonic() + TIMEOUT_S
    # Traffic continues while Prometheus scrapes, because rates need it.
    while prometheus.scrapes() < SCRAPES or any(a["health"] == "unknown" for a in prometheus.alerts()):
        if time.monotonic() > deadline:
            sys.exit(f"Prometheus has not scraped {service} {SCRAPES} times within {TIMEOUT_S} s")
        make_traffic(service)
        time.sleep(0.3)
    errors, completed = check_queries(prometheus, dashboard)
    errors = [*layout_errors(dashboard), *errors]
    if errors:
        sys.exit("\n".join(errors))
    print(f"monitoring: {completed} queries returned results")


class Osrm(http.server.BaseHTTPRequestHandler):
    """Returns the same distance for every route."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"code": "Ok", "distances": [[1728057.0]]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def osrm():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Osrm)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def metrics(service):
    sys.stdout.write(expect(200, f"{service}/metrics"))


if __name__ == "__main__":
    {"osrm": osrm, "metrics": metrics, "queries": queries}[sys.argv[1]](*sys.argv[2:])
