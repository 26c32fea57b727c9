# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules that are looked after without running the service: each is a function that returns its complaints, and one TAP case."""


def main(rules):
    print(f"1..{len(rules)}")
    failed = 0
    for number, rule in enumerate(rules, 1):
        complaints = rule()
        failed += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - {rule.__name__.replace('_', '-')}")
        for complaint in complaints:
            print(f"# {complaint}")
    return failed > 0
