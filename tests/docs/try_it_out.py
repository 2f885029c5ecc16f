"""Uses the documentation page as a person does. The only argument is the address of the service."""

import json
import os
import shutil
import sys
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60  # seconds, on a machine that is busy


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.add_argument("--headless=new")
    options.add_argument("--window-size=1100,1760")
    # No name but the service's address is found, as on a machine without a network.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.add_argument("--no-proxy-server")
    # Small in containers.
    options.add_argument("--disable-dev-shm-usage")
    if os.geteuid() == 0:
        # Chromium's sandbox refuses root.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(PATIENCE)
    return driver


class Page:
    def __init__(self, driver):
        self.driver = driver

    def find(self, selector):
        """The element, once it is there and can be used."""

        def ready(driver):
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return found[0] if found and found[0].is_displayed() and found[0].is_enabled() else None

        waiting = WebDriverWait(self.driver, PATIENCE)
        return waiting.until(ready, f"{selector} does not appear")

    def click(self, selector):
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def try_out(self, operation, parameters):
        """Sends the request that the page proposes, with these parameters; the JSON of its answer."""
        block = f"#operations-orders-{operation}"
        self.click(f"{block} .opblock-summary-control")
        self.click(f"{block} .try-out__btn")
        for name, value in parameters.items():
            field = self.find(f"{block} tr[data-param-name='{name}'] input")
            field.clear()
            field.send_keys(str(value))
        self.click(f"{block} .execute")
        answer = f"{block} .live-responses-table tbody .response"
        status = self.find(f"{answer} > .response-col_status").text.split()[0]
        body = self.find(f"{answer} > .response-col_description .microlight").text
        assert status == "200", f"{operation}: {status} {body}"
        return json.loads(body)


def requested(driver):
    """The addresses that the page asked, by the browser's own account."""
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]["url"]


def main(host):
    driver = start_browser()
    try:
        driver.get(f"{host}/docs/")
        page = Page(driver)
        title = page.find(".info .title").text
        assert title.startswith("order-api"), title
        headings = [heading.text for heading in driver.find_elements(By.CSS_SELECTOR, ".info h2")]
        for heading in ["Errors", "Retries", "Races", "Paging"]:
            assert heading in headings, f"{heading} is not among {headings}"

        placed = page.try_out("place_order", {})
        assert placed["status"] == "UNASSIGNED", placed
        if "SCREENSHOT" in os.environ:
            block = page.find("#operations-orders-place_order")
            driver.execute_script("arguments[0].scrollIntoView({block: 'start'})", block)
            driver.save_screenshot(os.environ["SCREENSHOT"])
        taken = page.try_out("take_order", {"id": placed["id"]})
        assert taken == {"status": "SUCCESS"}, taken
        listed = page.try_out("list_orders", {})
        assert listed == [{**placed, "status": "TAKEN"}], listed

        # The service says the same to others.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{host}/orders?page=1&limit=20", timeout=PATIENCE) as answer:
            assert json.load(answer) == listed

        asked = list(requested(driver))
        assert any(url.endswith("/openapi.json") for url in asked), asked
        outside = [url for url in asked if not url.startswith((f"{host}/", "data:"))]
        assert not outside, f"the page asked others: {outside}"
        severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert not severe, severe
        print(f"the page made {len(asked)} requests, all to the service; an order was placed and taken")
    finally:
        driver.quit()


main(sys.argv[1])
