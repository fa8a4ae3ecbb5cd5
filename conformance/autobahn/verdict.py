#!/usr/bin/env python3
"""Judges the suite's reports, and writes the committed summary when asked to. Exit status as `run` has it."""

import argparse
import collections
import datetime
import fnmatch
import json
import pathlib
import platform
import sys

# What these do is not laid down by the RFC, or depends on timing that is not the peer's: the suite itself only informs.
INFORMATIONAL = ["7.1.6", "7.13.*"]

ALL_CASES = 517


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=pathlib.Path, required=True)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--fourwire", required=True)
    parser.add_argument("--summary", type=pathlib.Path)
    parser.add_argument("roles", nargs="+")
    options = parser.parse_args()

    lines, failed = [], False
    for role in options.roles:
        index = options.reports / role / "index.json"
        if not index.exists():
            log = options.reports / f"{role}.log"
            sys.stderr.write("".join(log.read_text().splitlines(True)[-20:]) if log.exists() else "")
            cannot_judge(f"no report about the {role} was written")
        results = json.loads(index.read_text()).get("fourwire", {})
        if not results:
            cannot_judge(f"the report about the {role} is empty")
        said, faults = judge(role, results)
        if options.summary and len(results) != ALL_CASES:
            faults.append(f"  {len(results)} cases were run instead of {ALL_CASES}")
        lines += said + faults
        failed |= bool(faults)

    print("\n".join(lines))
    if options.summary and not failed:
        head = [
            f"date      {datetime.date.today().isoformat()}",
            f"fourwire  {options.fourwire}",
            f"suite     {options.suite}",
            f"machine   {platform.system()} {platform.machine()}",
            "",
        ]
        options.summary.write_text("\n".join(head + lines) + "\n")
        print(f"written: {options.summary.name}")
    sys.exit(1 if failed else 0)


def cannot_judge(why):
    print(f"autobahn: {why}", file=sys.stderr)
    sys.exit(2)


def judge(role, results):
    """What is to be said about a role, and which cases failed."""
    behaviour = collections.Counter(result["behavior"] for result in results.values())
    closing = collections.Counter(result["behaviorClose"] for result in results.values())
    said = [f"{role:9} {len(results)} cases: behaviour {counts(behaviour)}; close {counts(closing)}"]
    faults = [
        f"  FAILED {case}: behaviour {result['behavior']}, close {result['behaviorClose']}"
        for case, result in sorted(results.items(), key=lambda item: [int(part) for part in item[0].split(".")])
        if not passes(case, result)
    ]
    return said, faults


def passes(case, result):
    good = {"OK"}
    if any(fnmatch.fnmatchcase(case, pattern) for pattern in INFORMATIONAL):
        good.add("INFORMATIONAL")
    return result["behavior"] in good and result["behaviorClose"] in good


def counts(counter):
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items(), key=lambda item: (-item[1], item[0])))


if __name__ == "__main__":
    main()
