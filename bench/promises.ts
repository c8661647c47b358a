/** Every number that is promised, once. The ones over HTTP are the client's times; how each is measured is in its bench. */
export interface Promised {
  readonly text: string;
  readonly unit: Unit;
  /** The measured value must be at most, or at least, this. */
  readonly limit: number;
  readonly sense: "at most" | "at least";
  /** The bench that measures it: `npm run bench -- GROUP`. */
  readonly group: Group;
  /** Fewer samples than this do not keep a promise. */
  readonly samples: number;
}

export type Group = "claim" | "proxy" | "state" | "api" | "image" | "reconcile";
export type Unit =
  | "ms"
  | "×"
  | "per s"
  | "kB"
  | "MB"
  | "MB/s"
  | "MiB"
  | "requests"
  | "containers"
  | "claims"
  | "an hour"
  | "writes";

export const GROUPS: readonly Group[] = ["claim", "proxy", "state", "api", "image", "reconcile"];

const atMost = (group: Group, limit: number, unit: Unit, samples: number, text: string): Promised => ({
  text,
  unit,
  limit,
  sense: "at most",
  group,
  samples,
});

const atLeast = (...[group, limit, unit, samples, text]: Parameters<typeof atMost>): Promised => ({
  ...atMost(group, limit, unit, samples, text),
  sense: "at least",
});

export const PROMISES = {
  "claim.warm": atMost("claim", 20, "ms", 30, "warm claim with nothing to deliver, over HTTP"),
  "claim.parcel": atMost("claim", 60, "ms", 30, "warm claim with config and secrets, over HTTP"),
  "claim.state": atMost("claim", 250, "ms", 30, "warm claim with the small tree as state, over HTTP"),
  "claim.cold": atMost("claim", 1_200, "ms", 30, "cold claim, over HTTP"),
  "claim.refill": atMost("claim", 4_000, "ms", 5, "refill by five"),
  "control.alone": atMost("claim", 5, "ms", 50, "control-plane share of a claim, one caller"),
  "control.rate": atLeast("claim", 300, "per s", 50, "claims a second, 32 callers on 16 pools"),
  "control.p99": atMost("claim", 100, "ms", 50, "p99 of a claim, 32 callers on 16 pools"),
  "proxy.ratio": atMost("proxy", 1.3, "×", 50, "proxied HTTP request, of the bare Worker → object → container"),
  "proxy.echo": atMost("proxy", 2, "ms", 50, "WebSocket echo through the proxy"),
  "state.new": atMost("state", 500, "ms", 50, "release, small tree, all new"),
  "state.changed": atMost("state", 300, "ms", 50, "release, small tree, 5 files changed"),
  "state.unchanged": atMost("state", 200, "ms", 50, "release, small tree, unchanged"),
  "state.requests": atMost("state", 5, "requests", 50, "storage requests of an unchanged release (most)"),
  "state.restore": atMost("state", 150, "ms", 50, "restore of the small tree"),
  "state.ten": atMost("state", 1_000, "ms", 50, "10 MB of state (the small tree): release and restore"),
  "large.restore": atMost("state", 1_000, "ms", 10, "restore of 2,000 files, 21 MB"),
  "large.unchanged": atMost("state", 400, "ms", 10, "release of them, unchanged"),
  "large.unchanged.requests": atMost("state", 5, "requests", 10, "storage requests of that (most)"),
  "large.changed.requests": atMost(
    "state",
    12,
    "requests",
    10,
    "storage requests of a release with 5 of them changed (most)",
  ),
  "far.new": atMost("state", 0.25, "×", 10, "release of them, all new, 30 ms a request: of plain rclone sync"),
  "far.restore": atMost("state", 0.25, "×", 10, "restore of them, 30 ms a request: of plain rclone copy"),
  "object.up": atLeast("state", 40, "MB/s", 4, "1 GiB object up: the slower of one tar and rclone"),
  "object.down": atLeast("state", 100, "MB/s", 4, "1 GiB object down: the slowest of restores and GET"),
  "object.workerd": atMost("state", 64, "MiB", 4, "growth of workerd's memory meanwhile (most)"),
  "object.container": atMost("state", 100, "MiB", 2, "peak memory of a container's own parts, 32 new files of 30 MB"),
  "api.crud": atMost(
    "api",
    15,
    "ms",
    50,
    "create, read, replace, delete, status: the slowest, 8 callers, above GET /health",
  ),
  "api.p99": atMost("api", 100, "ms", 200, "p99 of those: the slowest, above GET /health"),
  "api.list": atMost("api", 5, "ms", 50, "list of 1,000 rows: the slowest, above GET /health"),
  "api.tenants": atMost("api", 50, "ms", 50, "first page of 10,000 tenants"),
  "api.bundle": atMost("api", 1_000, "kB", 1, "the Worker, compressed"),
  "image.size": atMost("image", 200, "MB", 1, "base image"),
  "image.idle": atMost("image", 80, "MB", 5, "memory of a container's own parts, idle"),
  "image.peak": atMost("image", 100, "MiB", 5, "memory of a container's own parts, peak of saves"),
  "burst.double": atMost(
    "reconcile",
    0,
    "containers",
    1_000,
    "containers that two of 1,000 claims at once were given, of a pool of 300",
  ),
  "burst.unsettled": atMost(
    "reconcile",
    0,
    "claims",
    1_000,
    "of those, claims and slots that are not at rest afterwards",
  ),
  "burst.starts": atMost("reconcile", 1, "×", 1_000, "containers started for them, of what they needed"),
  "idle.wakes": atMost("reconcile", 2, "an hour", 24, "wakes of an idle or sleeping tenant's object (most)"),
  "idle.writes": atMost("reconcile", 0, "writes", 24, "its writes meanwhile, but for the alarm itself"),
  "pool.cpu": atMost("reconcile", 20, "ms", 20, "CPU of the reconcile of a pool with 1,000 slots, nothing changed"),
  "pool.share": atMost("reconcile", 2, "×", 5, "CPU for each of 1,000 slots that changed, of each of 100"),
  "recovery.exit": atMost(
    "reconcile",
    10_000,
    "ms",
    5,
    "from a container's exit to its tenant's recovery, without traffic (most)",
  ),
  "recovery.hang": atMost(
    "reconcile",
    2,
    "×",
    3,
    "from a container's hang to its tenant's recovery, of the health interval (most)",
  ),
} as const satisfies Record<string, Promised>;

export type PromiseId = keyof typeof PROMISES;

/** Pure. */
export const isKept = ({ sense, limit }: Promised, value: number): boolean =>
  sense === "at most" ? value <= limit : value >= limit;
