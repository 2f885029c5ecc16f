"""Holds the dashboard and the alert rules against a Prometheus that reads a running service.

    check.py metrics SERVICE                          prints what the service exports
    check.py queries SERVICE PROMETHEUS DASHBOARD     makes traffic and asks every query

A query that names a metric or a label that does not exist is valid and answers nothing, for ever:
a panel stays empty and an alert never fires. So every query of the dashboard has to show a number,
and everything that an alert selects has to be there.
"""

import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# What Grafana would put in. The window holds some scrapes, which are a second apart.
VARIABLES = {"$__rate_interval": "10s", "$job": ".+", "$instance": ".+"}
SCRAPES = 4
PATIENCE = 60

PLACE = {"origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]}
TAKE = {"status": "TAKEN"}

# A metric with or without braces, as `"a}b"` may stand in them.
SELECTOR = re.compile(r'\b(?:orders|process)_\w+(?:\{(?:[^}"]|"(?:\\.|[^"\\])*")*\})?|\bup\{[^}]*\}')
# Names between bars: each is to be found, not only one of them.
NAMES = re.compile(r'=~"(\w+(?:\|\w+)+)"')

# A proxy cannot reach 127.0.0.1 of here.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, method="GET", body=None):
    """The status and the text of the answer, whatever the status is."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with direct.open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def expect(wanted, url, method="GET", body=None):
    """The text of the answer, which has the status `wanted`, or the end."""
    try:
        status, text = fetch(url, method, body)
    except OSError as error:
        sys.exit(f"{method} {url}: {error}")
    if status != wanted:
        sys.exit(f"{method} {url}: {status} instead of {wanted}: {text}")
    return text


def make_traffic(service):
    """One request of each kind, so that each panel has something to show."""
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
        """The data of an answer of the HTTP API. Why it was refused, as an exception."""
        parameters = urllib.parse.urlencode(parameters)
        _, text = fetch(f"{self.address}/api/v1/{path}?{parameters}")
        answer = json.loads(text)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def ask(self, query):
        return self.get("query", query=query)["result"]

    def scrapes(self):
        """How often the service was read. 0 while Prometheus starts."""
        try:
            found = self.ask('sum_over_time(up{job="order-api"}[5m])')
        except (OSError, ValueError):
            return 0
        return float(found[0]["value"][1]) if found else 0

    def alerts(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]


def panels_of(dashboard):
    """All panels that show something, also those in collapsed rows."""
    for panel in dashboard["panels"]:
        yield from panels_of(panel) if panel["type"] == "row" else [panel]


def faults_of_layout(dashboard):
    """What makes an import fail or look wrong."""
    taken = {}
    for panel in dashboard["panels"]:
        place, title = panel["gridPos"], panel["title"]
        across = range(place["x"], place["x"] + place["w"])
        cells = [(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])]
        if across.stop > 24:
            yield f"{title} reaches over the edge"
        for other in sorted({taken[cell] for cell in cells if cell in taken}):
            yield f"{title} lies on {other}"
        taken.update(dict.fromkeys(cells, title))
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have one id"
    for panel in panels_of(dashboard):
        if not panel.get("description"):
            yield f"{panel['title']} has no description"
    for uid in re.findall(r'"datasource": \{[^}]*"uid": "(.*?)"\}', json.dumps(dashboard)):
        if uid != "${datasource}":
            yield f"the data source {uid} is in no other Grafana"


def queries_of(dashboard):
    """Where each query stands, and the query as Grafana would send it."""
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
    """The label and the series of each variable that asks for the values of a label."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"].replace("$job", VARIABLES["$job"])
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
            yield variable["name"], series, label


def selectors_of(query):
    """What a query selects, one for each name that it lists."""
    for selector in SELECTOR.findall(query):
        names = NAMES.search(selector)
        if names:
            for one in names[1].split("|"):
                yield selector.replace(names[0], f'="{one}"')
        else:
            yield selector


def check_queries(prometheus, dashboard):
    """What is wrong, and how many queries were answered."""
    faults, answered = [], 0

    def ask(where, query):
        nonlocal answered
        try:
            found = prometheus.ask(query)
        except ValueError as error:
            faults.append(f"{where}: {error}: {query}")
            return None
        answered += 1
        return found

    for where, query in queries_of(dashboard):
        found = ask(where, query)
        if found is not None and not any(math.isfinite(float(one["value"][1])) for one in found):
            faults.append(f"{where}: shows no number: {query}")
    for where, series, label in labels_of(dashboard):
        if not prometheus.get(f"label/{label}/values", **{"match[]": series}):
            faults.append(f"the variable {where} has no values")

    for alert in prometheus.alerts():
        where, query = alert["name"], alert["query"]
        if alert["health"] != "ok" or alert["state"] != "inactive":
            faults.append(f"{where}: {alert['health']}, {alert['state']}: {alert.get('lastError', '')}")
        # The state says little, because most fire only after minutes.
        if found := ask(where, query):
            faults.append(f"{where}: finds a fault in a healthy service: {found}")
        # That nothing is there is what absent() asks for; its selector matches, too.
        for selector in selectors_of(query):
            if not ask(where, selector):
                faults.append(f"{where}: there is no {selector}")
    # Each once: several alerts select the same.
    return list(dict.fromkeys(faults)), answered


def queries(service, address, path):
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    prometheus = Prometheus(address)
    deadline = time.monotonic() + PATIENCE
    # Traffic goes on while Prometheus reads, or there would be no rates.
    while prometheus.scrapes() < SCRAPES or any(a["health"] == "unknown" for a in prometheus.alerts()):
        if time.monotonic() > deadline:
            sys.exit(f"Prometheus has not read {service} {SCRAPES} times within {PATIENCE} s")
        make_traffic(service)
        time.sleep(0.3)
    faults, answered = check_queries(prometheus, dashboard)
    faults = [*faults_of_layout(dashboard), *faults]
    if faults:
        sys.exit("\n".join(faults))
    print(f"monitoring: {answered} queries answered")


def metrics(service):
    sys.stdout.write(expect(200, f"{service}/metrics"))


if __name__ == "__main__":
    {"metrics": metrics, "queries": queries}[sys.argv[1]](*sys.argv[2:])
