import type { Planted } from "../planted.ts";

/** Bugs that are planted to see whether the simulation finds them. */
export interface Mutant {
  name: string;
  /** What the code does then. */
  does: string;
  planted: Planted[];
}

const of = (name: string, does: string, ...planted: [file: string, text: string, replacement: string][]): Mutant => ({
  name,
  does,
  planted: planted.map(([file, text, replacement]) => ({ file: `src/${file}`, text, replacement })),
});

export const MUTANTS: readonly Mutant[] = [
  of(
    "stale-save",
    "a vault takes saves of an epoch that was superseded",
    [
      "vault/plan.ts",
      "if (actor.epoch < record.epoch) return stale(actor.epoch, record.epoch);",
      "if (actor.epoch < record.epoch) return null;",
    ],
    ["vault/saving.ts", "    abortOpen(parts, (save) => save.saveId !== ref.saveId);\n", ""],
    [
      "vault/saving.ts",
      "      parts.store.writeRecord(plan.next);\n      abortOpen(parts, () => true);\n",
      "      parts.store.writeRecord(plan.next);\n",
    ],
  ),
  of("stale-fence", "a vault is bound again to an epoch that was superseded", [
    "vault/plan.ts",
    "if (epoch < record.epoch) return refused(stale(epoch, record.epoch));",
    "",
  ]),
  of("stale-request", "an Instance takes requests of any epoch", [
    "instance/life.ts",
    "this.holder?.tenantId === tenantId && this.holder.epoch === epoch;",
    "this.holder?.tenantId === tenantId;",
  ]),
  of(
    "early-commit",
    "a save is committed although its upload failed",
    ["instance/save.ts", "  if (!whole.ok) {\n    await vault.abort(ref);\n    return whole;\n  }\n", ""],
    ["vault/saving.ts", 'if (save.bundle === "begun")', "if (false)"],
    ["vault/assemble.ts", ".path} is missing`);\n", ".path} is missing`);\n      mismatches.pop();\n"],
  ),
  of("slot-reused", "a slot that has a tenant is given to another", [
    "pool/plan-lease.ts",
    '.filter((slot) => (slot.state === "warm" || slot.state === "starting") && slot.lease === null)',
    '.filter((slot) => slot.state === "warm" || slot.state === "starting" || slot.state === "assigned")',
  ]),
  of(
    "alarm-dropped",
    "a tenant's alarm that finds nothing to do sets no next one",
    ["tenant/machine.ts", "    if (record) this.#store.alarm.arm(this.due(record));\n", ""],
    ["tenant/machine.ts", "    if (!stores && known) this.#rearm(known);\n", ""],
  ),
  of("sent-twice", "a request that may have had its effect is sent again", [
    "proxy/proxy.ts",
    'bodyOf(request) === null && (verdict === "stale" || verdict === "absent" || isSafe(request));',
    'bodyOf(request) === null && (verdict !== "spent" || isSafe(request));',
  ]),
  of("two-leases", "the same lease asked for again is another one", [
    "pool/plan-lease.ts",
    "const again = own.find((slot) => slot.lease?.epoch === request.epoch);",
    "const again = own.find(() => false);",
  ]),
  of("unrecorded", "falling asleep is not recorded", [
    "tenant/planning.ts",
    "    journal: [entry],\n",
    '    journal: transition === "slept" ? [] : [entry],\n',
  ]),
  of("retired-first", "a container is given up while it is saved", [
    "tenant/plan-save.ts",
    'return { kind: "go", record, steps: [saveStep(record, operation)], journal: [] };',
    'return { kind: "go", record, steps: [{ do: "retire", containerId: record.held.containerId, poolId: record.held.poolId, reason: "early" }, saveStep(record, operation)], journal: [] };',
  ]),
  of("guard-ignored", "a tree that lost most of its files becomes the head", [
    "vault/plan.ts",
    'if (!facts.force && facts.previous !== null && shrank(facts.previous, facts.now)) return "quarantine";',
    "",
  ]),
  of("cap-off-by-one", "a tier may have one container more than its cap", [
    "fleet/plan.ts",
    "=== ask.tier).length >= cap - running) {",
    "=== ask.tier).length > cap - running) {",
  ]),
  of("not-ready", "a claim does not wait until the workload answers", [
    "instance/provision.ts",
    "if (starts || hasEnvironment) {",
    "if (!starts && hasEnvironment) {",
  ]),
  of("fresh-start", "a claim begins empty although something was saved", [
    "instance/provision.ts",
    "const restored = assignment.fresh ? null : head;",
    "const restored = assignment.fresh || head ? null : head;",
  ]),
  of("unverified", "a claim goes on although the restore failed", [
    "instance/provision.ts",
    "if (!claimed.ok) return claimed;",
    "if (!claimed.ok) return done({ restored, timings });",
  ]),
  of("forgotten-parts", "a destruction ends before its containers are gone", [
    "tenant/plan-destroy.ts",
    'if (missingParts(record).length > 0 || destruction.data === "delete") return changed;\n',
    'if (destruction.data === "delete") return changed;\n  record = { ...record, retiring: [] };\n',
  ]),
  of("lease-given-back-early", "the fleet stops counting a container before it is gone", [
    "pool/effects.ts",
    'const gone = await within(RETIRE_MS, "retire", instanceOf(this.#env, id).retire(reason));',
    'await within(OBSERVE_MS, "release", fleetOf(this.#env).release(id));\n      const gone = await within(RETIRE_MS, "retire", instanceOf(this.#env, id).retire(reason));',
  ]),
  of("told-before-delivered", "D1 is taken to have what was only sent to it", [
    "tenant/projection.ts",
    "  await db.batch([...entries.map((entry) => recordDelivered(db, entry)), projected(db, record, store)]);\n  store.confirm(last.seq);\n",
    "  store.confirm(last.seq);\n  await db.batch([...entries.map((entry) => recordDelivered(db, entry)), projected(db, record, store)]);\n",
  ]),
  of("late-result", "a tenant believes the late result of an operation that is over", [
    "tenant/plan.ts",
    "if (operation === null || operation.id !== event.operationId) return unwanted(record, event);",
    "if (operation === null) return unwanted(record, event);",
  ]),
  of("same-epoch", "a restart goes on under the epoch that it had", [
    "tenant/plan-restart.ts",
    "const next = epoch(record.epoch + 1);",
    "const next = record.epoch;",
  ]),
  of("end-unheard", "a slot is gone although its container did not say that it ended", [
    "pool/containers.ts",
    "    if (!gone.ok) {\n      // It stays draining",
    "    if (false) {\n      // It stays draining",
  ]),
  of("silence-is-no", "a tenant that does not answer does not have its container", [
    "pool/containers.ts",
    "if (owned === null) return",
    "if (owned === null && !slot.lease) return",
  ]),
];
