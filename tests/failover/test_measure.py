"""Tests of how outages are measured."""

import math
import unittest

from measure import Outage, outage


class OutageTest(unittest.TestCase):
    def assert_outage(self, length, end, successes):
        self.assertEqual(outage(successes, fault=10, until=30), Outage(length, end))

    def test_without_an_outage_it_ends_with_the_fault(self):
        self.assert_outage(0, 10, [n / 2 for n in range(80)])

    def test_pause_begins_with_the_last_success_after_the_fault(self):
        self.assert_outage(5, 16, [9, 10.5, 11, *(16 + n / 2 for n in range(28))])

    def test_pause_before_the_fault_does_not_count(self):
        self.assert_outage(5, 15, [2, *(15 + n / 2 for n in range(30))])

    def test_several_pauses_are_added_and_the_last_one_counts(self):
        self.assert_outage(11, 22, [15, 16, *(22 + n / 2 for n in range(16))])

    def test_outage_that_lasts_has_no_end(self):
        self.assert_outage(20, math.inf, [])
        self.assert_outage(18, math.inf, [11, 12, 31])


if __name__ == "__main__":
    unittest.main()
