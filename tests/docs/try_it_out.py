"""Uses the documentation page like a user. The only argument is the address of the service."""

import json
import os
import shutil
import sys
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

TIMEOUT_S = 60


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.add_argument("--headless=new")
    options.add_argument("--window-size=1100,1760")
    # Resolves no host but the service's, as on a machine without a network.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.add_argument("--no-proxy-server")
    # /dev/shm is small in containers.
    options.add_argument("--disable-dev-shm-usage")
    if os.geteuid() == 0:
        # Chromium's sandbox does not run as root.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(TIMEOUT_S)
    return driver


class Page:
    def __init__(self, driver):
        self.driver = driver

    def find(self, selector):
        """Waits for the element and returns it."""

        def ready(driver):
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return found[0] if found and found[0].is_displayed() and found[0].is_enabled() else None

        waiting = WebDriverWait(self.driver, TIMEOUT_S)
        return waiting.until(ready, f"{selector} does not appear")

    def click(self, selector):
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def try_out(self, operation, parameters):
        """Sends the proposed request with these parameters and returns the JSON of the response."""
        block = f"#operations-orders-{operation}"
        self.click(f"{block} .opblock-summary-control")
        self.click(f"{block} .try-out__btn")
        for name, value in parameters.items():
            field = self.find(f"{block} tr[data-param-name='{name}'] input")
            field.clear()
            field.send_keys(str(value))
        self.click(f"{block} .execute")
        response = f"{block} .live-responses-table tbody .response"
        status = self.find(f"{response} > .response-col_status").text.split()[0]
        body = self.find(f"{response} > .response-col_description .microlight").text
        assert status == "200", f"{operation}: {status} {body}"
        return json.loads(body)


def requested(driver):
    """Yields the addresses that the page requested, from the log of the browser."""
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

        # The service returns the same to other clients.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{host}/orders?page=1&limit=20", timeout=TIMEOUT_S) as response:
            assert json.load(response) == listed

        urls = list(requested(driver))
        assert any(url.endswith("/openapi.json") for url in urls), urls
        outside = [url for url in urls if not url.startswith((f"{host}/", "data:"))]
        assert not outside, f"the page requested other addresses: {outside}"
        severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert not severe, severe
        print(f"the page sent {len(urls)} requests, all to the service")
    finally:
        driver.quit()


main(sys.argv[1])
