"""Computes the evidence of a RolloutRun again, from the looks it keeps.

kubectl get rolloutrun NAME -o jsonpath='{.status.analysis.state}' | python3 recompute.py

Written from docs/analysis.md alone: it shares no code with Belay.
"""

import base64
import gzip
import json
import math
import sys

AGAINST_STABLE = (1.5, 2, 4, 8, 16, 32, 128, 1024)
AGAINST_LIMIT = (1.5, 2, 4, 8, 16, 32, 64, 128, 256, 450)


def log_sum(logs):
    return max(logs) + math.log(sum(math.exp(x - max(logs)) for x in logs))


def relative(rule, n, e, m, f):
    """Log likelihood ratios of n requests of the candidate, e of them bad, and m, f of stable."""
    w, n = rule["worse"], max(n, e)  # Late errors may be more than the requests.
    return n and m and [e * math.log(g) - (e + f) * math.log1p((g - 1) * w * n / (w * n + m)) for g in AGAINST_STABLE]


def absolute(q, n, e):
    better = [min(q * k, 0.9) for k in AGAINST_LIMIT]
    return [e * math.log(p / q) + max(0, n - e) * (math.log1p(-p) - math.log1p(-q)) if q < 0.9 else 0 for p in better]


class Bet:
    def __init__(self, ratios, before):
        self.ratios, self.looks, self.logs = ratios, before.get("looks", 0), before.get("bets", [])
        self.used = [before.get(side, {}).get(x, 0) for side in ("canary", "stable") for x in "ne"]

    def settle(self, sums):
        ratios = self.ratios(*(x - y for x, y in zip(sums, self.used)))
        if not ratios:
            return  # It waits for the next look.
        self.looks, self.used = self.looks + 1, sums
        stake = -math.log(self.looks * (self.looks + 1))
        self.logs = [log_sum([self.logs[k], stake] if self.logs else [stake]) + r for k, r in enumerate(ratios)]

    def log(self):
        if not self.logs:
            return 0.0
        return log_sum(self.logs + [math.log(len(self.logs) / (self.looks + 1))]) - math.log(len(self.logs))


def evidence(trail):
    rule, before = trail["rule"], trail.get("before", {})
    bets = [Bet(lambda *c: relative(rule, *c), before.get("relative", {})),
            Bet(lambda n, e, m, f: max(n, e) and absolute(rule["limit"], n, e), before.get("absolute", {}))]
    sums = [trail[side][x] for side in ("canary", "stable") for x in "ne"]
    for look in trail.get("looks", [])[trail.get("settled", 0):]:
        sums = [x + y for x, y in zip(sums, look[1:5])]
        for bet in bets:
            bet.settle(sums)
    return [bet.log() for bet in bets]


class Usual:
    """What is usual for stable: its ratio, each look's excess, and the dispersion."""

    def __init__(self, looks):
        m, f = sum(l[3] for l in looks), sum(l[4] for l in looks)
        ratio, self.looks = f / m if m else 0, looks
        many = lambda l, p: l[4] > l[3] * p + 3 * math.sqrt(l[3] * p) + 2
        calm = [l for l in looks if not many(l, ratio)]
        requests = sum(l[3] for l in calm)
        squares, n = sum((l[4] - l[3] * ratio) ** 2 for l in looks), len(looks)
        self.dispersion = min(20, max(1, (squares / f * n + 4) / (n + 4))) if f else 1
        self.ratio = sum(l[4] for l in calm) / requests if requests else 0
        self.excess = [l[4] - l[3] * self.ratio if many(l, self.ratio) else 0 for l in looks]

    def around(self, part):
        near = [j for j, l in enumerate(self.looks) if part[1] <= l[0] <= part[2] + 2 * (part[2] - part[1])]
        requests = sum(self.looks[j][3] for j in near)
        return min(1, self.ratio + 3 * sum(self.excess[j] for j in near) / requests) if requests else self.ratio


def forgiven(part, until, ratio):
    left, span = until - part[3], part[2] - part[1]
    return 0 if left <= 0 else ratio if span <= left else ratio * left / span


def surplus(looks, of):
    """The part of the bad requests that more requests than the candidate's share explain."""
    first, last, span = min(j for j, _ in of), max(j for j, _ in of), max(1, max(p[2] - p[1] for _, p in of))
    while first > 0 and span // 10 < (looks[last][0] - looks[first - 1][0]) % span < span - span // 10:
        first -= 1
    near = looks[first:last + 1]
    if any(l[5] >= 100 for l in near):
        return 0
    odds = [l[5] / (100 - l[5]) for l in near]
    more = sum(l[1] - o * l[3] for l, o in zip(near, odds))
    deviation = math.sqrt(sum(l[1] + o * o * l[3] for l, o in zip(near, odds)))
    return 0 if more <= 0.5 * deviation else min(1, (more + 3 * deviation) / sum(p[5] for _, p in of))


def sustained(trail, rule, alone):
    """Alone, the looks since stable serves nothing are compared with a limit of their own."""
    looks, worse, most_allowed = trail.get("looks", []), trail["rule"]["worse"], trail["rule"]["limit"]
    if alone:
        looks, worse, most_allowed = [l for l in looks if l[0] > alone["since"]], 0, alone["limit"]
    if not looks:
        return 0.0
    usual = Usual(looks)
    parts = [(j, tuple(l[i:i + 6])) for j, l in enumerate(looks) for i in range(6, len(l), 6)]
    bad = sorted((x for x in parts if x[1][5] > 0), key=lambda x: x[1][2])

    def overlapping(among, begin, lasts):
        return [x for x in among if x[1][2] > begin and x[1][1] <= begin + lasts]

    least = math.inf
    for youth in rule["youths"]:
        def weigh(part, n, e):
            return absolute(max(most_allowed, worse * usual.around(part)) + forgiven(part, *youth), n, e)

        rows = []
        for j, l in enumerate(looks):
            mine = [p for i, p in parts if i == j]
            rest = absolute(max(most_allowed, worse * usual.ratio),
                            l[1] - sum(p[4] for p in mine), l[2] - sum(p[5] for p in mine))
            rows.append([sum(x) for x in zip(rest, *(weigh(p, p[4], p[5]) for p in mine))])

        def left(removed, share=1):
            most = 0
            for k in range(len(AGAINST_LIMIT)):
                total = 0
                for j, row in enumerate(rows):
                    v = row[k]
                    for i, p in removed:
                        if i == j:
                            v -= weigh(p, p[4], p[5])[k] if share == 1 else share * weigh(p, p[5], p[5])[k]
                    total = max(0, total) + v
                most = max(most, total)
            return most

        least = min(least, left([]))
        moments = []
        for first in bad:
            begin = first[1][2] - 1
            if alone:
                least = min(least, left(overlapping(bad, begin, alone["lasts"])))
                continue
            if first[1][0] != 0:
                least = min(least, left(overlapping([x for x in bad if x[1][0] == first[1][0]], begin, rule["burst"])))
            beyond = overlapping(bad, begin, 30000)
            least = min(least, left(beyond, surplus(looks, beyond)))
            moments.append((first[1][2], overlapping(bad, begin, 0)))
        if moments:
            remains = [left(m) for _, m in moments]
            least = min(least, min(remains))
            at, worst = moments[remains.index(min(remains))]
            for other, m in moments:
                if abs(at - other) >= 20000 and not set(worst) & set(m):
                    least = min(least, left(worst + m))
    return least / usual.dispersion


recorded = json.load(sys.stdin)
if "gzip" in recorded:  # A large state is compressed.
    recorded = json.loads(gzip.decompress(base64.b64decode(recorded["gzip"])))
for trigger, state in recorded.get("regressions", {}).items():
    print("%s: logRelative %.9f logAbsolute %.9f" % (trigger, *evidence(state["trail"])),
          "logSustained %.6f, fails at %.9f" % (sustained(state["trail"], state["sustained"], state.get("alone")), state["trail"]["rule"]["threshold"]))
