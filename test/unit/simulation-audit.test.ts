import { describe, expect, it } from "vitest";
import { answered, destroyed, untouched } from "../simulation/audit/answers.ts";
import { caps, forgotten, leasesOf, pool, type SeenSlot, servedTenants } from "../simulation/audit/containers.ts";
import { armed, dueOf, type Entry, epochs, exit, recorded, type SeenTenant } from "../simulation/audit/records.ts";
import {
  committed,
  guarded,
  head,
  left,
  lostCalmly,
  type SeenGeneration,
  type SeenVault,
} from "../simulation/audit/saves.ts";
import { accepted, activated, keysIn, reached, repeated, told } from "../simulation/audit/serving.ts";
import {
  nothingLost,
  poolAtRest,
  type RestingTenant,
  sameRows,
  tenantAtRest,
  vaultAtRest,
} from "../simulation/audit/settled.ts";
import { RULES, type RuleName, type Violation } from "../simulation/audit/violation.ts";

/** Every rule of the simulation's auditor holds of a sound world, and is broken by a world that is broken in its way. */

const NOW = 1_800_000_000_000;
const rules = (violations: readonly Violation[]): RuleName[] => violations.map(({ rule }) => rule);

const aSlot = (more: Partial<SeenSlot> = {}): SeenSlot => ({
  containerId: "c-1",
  poolId: "p0",
  state: "assigned",
  tier: "lite",
  lease: { tenantId: "t0", epoch: 1 },
  ...more,
});
const aTenant = (more: Partial<SeenTenant> = {}): SeenTenant => ({
  tenantId: "t0",
  state: "active",
  epoch: 1,
  held: { containerId: "c-1", epoch: 1 },
  operation: null,
  retiring: [],
  hold: null,
  ...more,
});
const aGeneration = (more: Partial<SeenGeneration> = {}): SeenGeneration => ({
  generation: 1,
  status: "kept",
  saveId: "save-1",
  epoch: 1,
  incarnation: "c-1",
  files: 4,
  bytes: 400,
  ...more,
});
const aVault = (more: Partial<SeenVault> = {}): SeenVault => ({
  tenantId: "t0",
  epoch: 1,
  head: 1,
  generations: [aGeneration()],
  ...more,
});
const known = (more: object = {}) => ({ at: new Map([["tree", 3]]), acknowledged: 2, forced: false, ...more });
const resting = (more: Partial<RestingTenant> = {}): RestingTenant => ({
  tenantId: "t0",
  state: "active",
  desired: "active",
  held: { containerId: "c-1" },
  operation: null,
  retiring: [],
  errors: [],
  probe: 200,
  isFrozen: false,
  ...more,
});
const aPool = (more: object = {}) => ({
  id: "p0",
  isDeleted: false,
  isStuck: false,
  isPaused: false,
  waits: false,
  target: 1,
  maxSize: 3,
  slots: [aSlot({ containerId: "c-2", state: "warm", lease: null })],
  ...more,
});
const RUNNING = new Set(["c-1", "c-2"]);
const runs = (id: string) => RUNNING.has(id);

const OPERATION = { id: "op-1", kind: "claim", deadlineAt: NOW + 60_000 };
const written = (more: object = {}) => ({
  name: "Tenant/t0",
  before: JSON.stringify({ state: "idle", epoch: 0 }),
  after: JSON.stringify({ state: "claiming", epoch: 1 }),
  entries: [entry()],
  ...more,
});
const entry = (more: Partial<Entry> = {}): Entry => ({
  seq: 1,
  after: "hash",
  action: "tenant.claim",
  ...more,
});
const hashOf = () => "hash";

/** A sound world and broken ones: what is looked at, and by what it is said. */
const CASES: Readonly<Record<RuleName, { sound: () => Violation[]; broken: Record<string, () => Violation[]> }>> = {
  "one-container": {
    sound: () =>
      leasesOf([{ id: "p0", maxSize: 2, slots: [aSlot(), aSlot({ containerId: "c-2", state: "draining" })] }]),
    broken: {
      "two leases of one tenant": () =>
        leasesOf([{ id: "p0", maxSize: 2, slots: [aSlot(), aSlot({ containerId: "c-2" })] }]),
    },
  },
  "one-tenant": {
    sound: () => servedTenants("c-1", new Set(["t0"])),
    broken: {
      "a container that served two": () => servedTenants("c-1", new Set(["t0", "t1"])),
      "a slot that is passed on": () =>
        pool(
          { id: "p0", maxSize: 2, slots: [aSlot({ lease: { tenantId: "t1", epoch: 1 } })] },
          { id: "p0", maxSize: 2, slots: [aSlot()] },
        ),
      "a slot whose lease is taken back": () =>
        pool(
          { id: "p0", maxSize: 2, slots: [aSlot({ lease: null, state: "warm" })] },
          { id: "p0", maxSize: 2, slots: [aSlot()] },
        ),
      "a slot that comes back": () =>
        pool(
          { id: "p0", maxSize: 2, slots: [aSlot()] },
          { id: "p0", maxSize: 2, slots: [aSlot({ state: "draining" })] },
        ),
    },
  },
  taken: {
    sound: () => told("c-1", "release", null),
    broken: { "the end of a container that serves": () => told("c-1", "not claimed", "t0") },
  },
  gone: {
    sound: () => [
      ...forgotten("t0", ["c-0", "c-1"], ["c-1"], runs),
      ...forgotten("p0", ["c-1", "c-2"], ["c-1", "c-2"], runs),
    ],
    broken: { "a container that runs on": () => forgotten("t0", ["c-1"], [], runs) },
  },
  ready: {
    sound: () =>
      activated({ tenantId: "t0", containerId: "c-1", running: true, answered: true, holds: "a", saved: "a" }),
    broken: {
      "active before the workload answered": () =>
        activated({ tenantId: "t0", containerId: "c-1", running: true, answered: false, holds: null, saved: null }),
    },
  },
  restored: {
    sound: () =>
      activated({ tenantId: "t0", containerId: "c-1", running: true, answered: true, holds: "b", saved: null }),
    broken: {
      "something else than was saved": () =>
        activated({ tenantId: "t0", containerId: "c-1", running: true, answered: true, holds: "b", saved: "a" }),
    },
  },
  cap: {
    sound: () => caps([{ id: "c-1", tier: "lite" }], { lite: 1, basic: 0 }),
    broken: {
      "one container too many": () =>
        caps(
          [
            { id: "c-1", tier: "lite" },
            { id: "c-2", tier: "lite" },
          ],
          { lite: 1, basic: 0 },
        ),
    },
  },
  pool: {
    sound: () =>
      pool({ id: "p0", maxSize: 1, slots: [aSlot(), aSlot({ containerId: "c-2", state: "draining" })] }, null),
    broken: {
      "more slots than maxSize": () =>
        pool({ id: "p0", maxSize: 1, slots: [aSlot(), aSlot({ containerId: "c-2" })] }, null),
    },
  },
  saved: {
    sound: () => head(aVault(), "tree", known()),
    broken: {
      "a directory that never was": () => head(aVault(), "another", known()),
      "an older one than was acknowledged": () => head(aVault(), "tree", known({ acknowledged: 4 })),
      "nothing, after something was acknowledged": () => head(aVault({ head: 0 }), null, known()),
    },
  },
  whole: { sound: () => [], broken: {} }, // what cannot be read is found by reading it: test/simulation/play.test.ts
  guard: {
    sound: () => guarded(aVault(), aGeneration(), aGeneration({ files: 2, bytes: 200 }), known()),
    broken: {
      "fewer than half of the files": () => guarded(aVault(), aGeneration(), aGeneration({ files: 1 }), known()),
      "less than half of the bytes": () => guarded(aVault(), aGeneration(), aGeneration({ bytes: 199 }), known()),
    },
  },
  unsaved: {
    sound: () =>
      left({
        tenantId: "t0",
        containerId: "c-1",
        holds: "b",
        saved: "a",
        says: { unsavedSince: NOW, lastLossOf: null },
        keptAside: false,
      }),
    broken: {
      "what was not saved is not spoken of": () =>
        left({
          tenantId: "t0",
          containerId: "c-1",
          holds: "b",
          saved: "a",
          says: { unsavedSince: null, lastLossOf: "c-0" },
          keptAside: false,
        }),
    },
  },
  exit: {
    sound: () => exit(aTenant({ state: "claiming", held: null, operation: OPERATION }), NOW),
    broken: {
      "a transitional state without an operation": () => exit(aTenant({ state: "claiming", held: null }), NOW),
      "an operation without an end": () =>
        exit(
          aTenant({ state: "claiming", held: null, operation: { ...OPERATION, deadlineAt: Number.POSITIVE_INFINITY } }),
          NOW,
        ),
      "an active tenant without a container": () => exit(aTenant({ held: null }), NOW),
      "a failed release that nobody ends": () => exit(aTenant({ state: "release_failed" }), NOW),
    },
  },
  destroy: {
    sound: () => destroyed({ asked: "destroy t0", status: 202, code: null }, "claiming"),
    broken: {
      "refused for its state": () =>
        destroyed({ asked: "destroy t0", status: 409, code: "invalid_transition" }, "claiming"),
    },
  },
  fence: {
    sound: () => [
      ...committed(aVault({ epoch: 2 }), aGeneration({ epoch: 2 }), 2),
      ...reached(
        { containerId: "c-0", tenantId: "t0" },
        { state: "active", held: { containerId: "c-1", epoch: 2 }, leaving: ["c-0"] },
      ),
      ...epochs(aTenant(), aTenant({ epoch: 2, held: { containerId: "c-2", epoch: 2 } })),
    ],
    broken: {
      "a save under an older epoch": () => committed(aVault({ epoch: 2 }), aGeneration({ epoch: 1 }), 2),
      "a vault that goes back": () => committed(aVault({ epoch: 1 }), aGeneration({ epoch: 2 }), 2),
      "a request of an earlier epoch": () =>
        accepted({ containerId: "c-1", tenantId: "t0", epoch: 1 }, { held: { containerId: "c-1", epoch: 2 } }),
      "a request at a container that was left": () =>
        reached(
          { containerId: "c-0", tenantId: "t0" },
          { state: "active", held: { containerId: "c-1", epoch: 2 }, leaving: [] },
        ),
      "an epoch that goes back": () => epochs(aTenant({ epoch: 2 }), aTenant({ epoch: 1 })),
      "a new container under an old epoch": () =>
        epochs(aTenant(), aTenant({ held: { containerId: "c-2", epoch: 1 } })),
    },
  },
  once: {
    sound: () => [...repeated("1", "PUT", 1), ...repeated("2", "GET", 2)],
    broken: { "a change that is sent again": () => repeated("1", "PUT", 2) },
  },
  lost: {
    sound: () => [...lostCalmly("t0", null, true), ...lostCalmly("t0", "c-1", false)],
    broken: { "a loss for no reason": () => lostCalmly("t0", "c-1", true) },
  },
  alarm: {
    sound: () => armed("Tenant/t0", dueOf(aTenant(), NOW), NOW + 60_000, false, 1_000),
    broken: {
      "none is set": () => armed("Tenant/t0", dueOf(aTenant(), NOW), null, false, 1_000),
      "it rings too late": () =>
        armed("Tenant/t0", dueOf(aTenant({ operation: OPERATION }), NOW), NOW + 120_000, false, 1_000),
    },
  },
  journal: {
    sound: () => recorded(written(), hashOf),
    broken: {
      "a change without an entry": () => recorded(written({ entries: [] }), hashOf),
      "an entry of another record": () => recorded(written({ entries: [entry({ after: "other" })] }), hashOf),
      "the same entry twice": () => recorded(written({ entries: [entry(), entry({ seq: 2 })] }), hashOf),
    },
  },
  reads: {
    sound: () => untouched("read status", "asleep", "asleep"),
    broken: { "a read that wakes": () => untouched("read status", "asleep", "waking") },
  },
  keys: {
    sound: () => keysIn("c-1", ["PORT=8080"], ["simulation-admin-key"]),
    broken: { "a key in the environment": () => keysIn("c-1", ["KEY=simulation-admin-key"], ["simulation-admin-key"]) },
  },
  answers: {
    sound: () => answered({ asked: "claim t0", status: 503, code: "capacity_exhausted" }),
    broken: {
      "an answer that nobody thought of": () => answered({ asked: "claim t0", status: 500, code: "internal" }),
    },
  },
  settled: {
    sound: () => [
      ...tenantAtRest(resting(), RUNNING),
      ...tenantAtRest(resting({ state: "release_failed", errors: [{ code: "timeout" }], isFrozen: true }), RUNNING),
      ...poolAtRest(aPool(), RUNNING, 5),
      ...nothingLost([aSlot()], [resting()], ["c-1"], ["c-1"]),
      ...sameRows("tenants", ["t0:active"], ["t0:active"]),
      ...vaultAtRest({ tenantId: "t0", open: [], uploads: [], keys: ["a"], needed: new Set(["a"]) }, NOW),
    ],
    broken: {
      "a tenant on its way": () => tenantAtRest(resting({ state: "waking" }), RUNNING),
      "a failed release of a container that could be saved": () =>
        tenantAtRest(resting({ state: "release_failed", errors: [{ code: "timeout" }] }), RUNNING),
      "an operation that goes on": () => tenantAtRest(resting({ operation: OPERATION }), RUNNING),
      "a container to get rid of": () => tenantAtRest(resting({ retiring: [{ containerId: "c-0" }] }), RUNNING),
      "an error without a reason": () => tenantAtRest(resting({ state: "error", held: null }), RUNNING),
      "a tenant that is not where it should be": () => tenantAtRest(resting({ state: "asleep", held: null }), RUNNING),
      "a container that does not run": () => tenantAtRest(resting(), new Set()),
      "a container that does not answer": () => tenantAtRest(resting({ probe: 503 }), RUNNING),
      "a pool below its target": () => poolAtRest(aPool({ target: 2 }), RUNNING, 5),
      "a slot on its way": () => poolAtRest(aPool({ slots: [aSlot({ state: "draining" })], target: 0 }), RUNNING, 5),
      "a slot without a container": () => poolAtRest(aPool(), new Set(["c-1"]), 5),
      "a container without a slot": () => nothingLost([], [], ["c-1"], ["c-1"]),
      "a container that is not counted": () => nothingLost([aSlot()], [resting()], ["c-1"], []),
      "a count without a container": () => nothingLost([], [], [], ["c-1"]),
      "a lease without a tenant": () => nothingLost([aSlot()], [], ["c-1"], ["c-1"]),
      "a tenant without a lease": () => nothingLost([aSlot({ lease: null })], [resting()], ["c-1"], ["c-1"]),
      "a copy that is old": () => sameRows("tenants", ["t0:active"], ["t0:asleep"]),
      "an object that nobody needs": () =>
        vaultAtRest({ tenantId: "t0", open: [], uploads: [], keys: ["a"], needed: new Set() }, NOW),
      "an object that is missing": () =>
        vaultAtRest({ tenantId: "t0", open: [], uploads: [], keys: [], needed: new Set(["a"]) }, NOW),
      "uploads of long ago": () =>
        vaultAtRest(
          {
            tenantId: "t0",
            open: [],
            uploads: [{ object: "a", at: NOW - 48 * 3_600_000 }],
            keys: [],
            needed: new Set(),
          },
          NOW,
        ),
    },
  },
};

describe.each(Object.keys(RULES) as RuleName[])("the rule %s", (rule) => {
  const { sound, broken } = CASES[rule];

  it("holds of a sound world", () => {
    expect(sound()).toEqual([]);
  });

  it.each(Object.entries(broken))("is broken by %s", (_, seen) => {
    expect(new Set(rules(seen()))).toEqual(new Set([rule]));
  });
});
