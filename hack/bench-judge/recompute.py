"""Gathers the evidence of a RolloutRun anew, from the looks it keeps.

kubectl get rolloutrun NAME -o jsonpath='{.status.analysis.state}' | python3 recompute.py

Written from docs/analysis.md alone: it shares no code with Belay.
"""

import json
import math
import sys

AGAINST_STABLE = (1.5, 2, 4, 8, 16, 32, 128, 1024)
AGAINST_BUDGET = (1.5, 2, 4, 8, 16, 32, 64, 128, 256, 450)


def log_sum(logs):
    return max(logs) + math.log(sum(math.exp(x - max(logs)) for x in logs))


def relative(rule, n, e, m, f):
    """Log likelihood ratios of n requests of the candidate, e of them bad, and m, f of stable."""
    w = rule["worse"]
    return n and m and [e * math.log(g) - (e + f) * math.log1p((g - 1) * w * n / (w * n + m)) for g in AGAINST_STABLE]


def absolute(rule, n, e, m, f):
    q = rule["limit"]
    better = [min(q * k, 0.9) for k in AGAINST_BUDGET]
    return n and [e * math.log(p / q) + (n - e) * (math.log1p(-p) - math.log1p(-q)) for p in better]


class Bet:
    def __init__(self, ratios, before):
        self.ratios, self.looks, self.logs = ratios, before.get("looks", 0), before.get("bets", [])
        self.used = [before.get(side, {}).get(x, 0) for side in ("canary", "stable") for x in "ne"]
        lost = before.get("restarts", 0)
        self.cost = math.log(9) + lost * math.log(2) if lost else 0

    def settle(self, rule, clip, sums):
        ratios = self.ratios(rule, *(x - y for x, y in zip(sums, self.used)))
        if not ratios:
            return  # It waits for the next look.
        self.looks, self.used = self.looks + 1, sums
        stake = -math.log(self.looks * (self.looks + 1))
        self.logs = [log_sum([self.logs[k], stake] if self.logs else [stake]) + min(r, clip) for k, r in enumerate(ratios)]

    def log(self):
        if not self.logs:
            return 0.0
        return log_sum(self.logs + [math.log(len(self.logs) / (self.looks + 1))]) - math.log(len(self.logs))


def gather(trail, judge):
    rule, before = trail["rule"], trail.get("before", {}).get(judge, {})
    clip, peak = rule[judge].get("clip", math.inf), before.get("peak", 0)
    bets = [Bet(relative, before.get("relative", {})), Bet(absolute, before.get("absolute", {}))]
    sums = [trail[side][x] for side in ("canary", "stable") for x in "ne"]
    for look in trail.get("looks", []):
        sums = [x + y for x, y in zip(sums, look[1:])]
        for bet in bets:
            bet.settle(rule, clip, sums)
        if bets[0].used[:2] == bets[1].used[:2]:
            peak = max(peak, min(bet.log() - bet.cost for bet in bets))
    return bets[0].log(), bets[1].log(), peak


for trigger, state in json.load(sys.stdin).get("regressions", {}).items():
    for judge in ("quick", "patient"):
        now = gather(state["trail"], judge)
        print("%s %s: logRelative %.9f logAbsolute %.9f logPeak %.9f" % (trigger, judge, *now),
              "convicts at %.9f" % state["trail"]["rule"][judge]["threshold"])
