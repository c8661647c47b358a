import { brokenAt, CHAIN_START, type ChainedEntry, documentHash } from "../../../src/audit/entry.ts";
import type { Slot } from "../../../src/pool/record.ts";
import type { TenantRecord } from "../../../src/tenant/record.ts";
import { caps, forgotten, leasesOf, pool as poolRules, type SeenPool, servedTenants } from "../audit/containers.ts";
import { epochs, exit, recorded, type SeenTenant } from "../audit/records.ts";
import {
  committed,
  guarded,
  head as headRules,
  left,
  lostCalmly,
  type SeenGeneration,
  type SeenVault,
} from "../audit/saves.ts";
import { activated, keysIn } from "../audit/serving.ts";
import { type Violation, violation } from "../audit/violation.ts";
import type { Setup } from "../history/setup.ts";
import type { ObjectView, World } from "../world/types.ts";
import type { Ledger } from "./ledger.ts";
import { generationText, seenVault } from "./saved.ts";

/** What was seen of an object when it committed last. */
interface SeenObject {
  document: string | null;
  chain: { seq: number; hash: string };
}
const NOTHING: SeenObject = { document: null, chain: { seq: 0, hash: CHAIN_START } };

/** Values of the environment that open something outside a container. */
const secretsOf = (env: Env): string[] =>
  ["ADMIN_KEY", "SECRETS_KEY", "SESSION_SECRET", "JWT_SECRET"].flatMap((name) => {
    const value = (env as unknown as Record<string, unknown>)[name];
    return typeof value === "string" && value.length >= 16 ? [value] : [];
  });

/**
 * The auditor's eyes: after every transaction of an object it looks at what is stored, at what runs, and at what it knows
 * itself, and applies the rules. It reads only.
 */
export class Watch {
  readonly found: Violation[] = [];
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #setup: Setup;
  readonly #secrets: string[];
  readonly #seen = new Map<string, SeenObject>();
  readonly #tenants = new Map<string, TenantRecord>();
  readonly #pools = new Map<string, SeenPool>();
  readonly #vaults = new Map<string, { vault: SeenVault; highest: number; texts: Map<number, string | null> }>();
  #running = "";
  #takingBack = false;

  constructor(world: World, ledger: Ledger, setup: Setup) {
    this.#world = world;
    this.#ledger = ledger;
    this.#setup = setup;
    this.#secrets = secretsOf(world.env);
    world.onCommit = (view) => this.#committed(view);
    world.onRollback = (view) => this.#forgotten(view);
  }

  tenant = (id: string): TenantRecord | null => this.#tenants.get(id) ?? null;
  get pools(): SeenPool[] {
    return [...this.#pools.values()];
  }

  /** Whose record holds a container. */
  holderOf(containerId: string): string | null {
    const holder = [...this.#tenants.values()].find(({ held }) => held?.containerId === containerId);
    return holder?.tenantId ?? null;
  }

  report(violations: readonly Violation[]): void {
    this.found.push(...violations);
  }

  readonly #runs = (id: string): boolean => this.#world.containers.get(id)?.running ?? false;

  /** Between two events: what runs. */
  look(): void {
    const { running } = this.#world.containers;
    const now = running.join(" ");
    if (now === this.#running) return;
    this.#running = now;
    const tiers = running.map((id) => ({ id, tier: this.#world.containers.get(id)?.spec.tier ?? "lite" }));
    this.report(caps(tiers, this.#setup.caps));
  }

  #committed(view: ObjectView): void {
    switch (view.kind) {
      case "Tenant":
        this.#tenant(view);
        return;
      case "Pool":
        this.#pool(view);
        return;
      case "Vault":
        this.#vault(view);
        return;
    }
  }

  /** A crash took back what was not durable, and nobody heard of it: it never was. */
  #forgotten(view: ObjectView): void {
    const quiet = this.found.length;
    this.#takingBack = true;
    this.#seen.delete(view.key);
    if (view.kind === "Tenant") this.#tenants.delete(view.name);
    const highest = view.kind === "Vault" ? (seenVault(view)?.epoch ?? 0) : 0;
    const vault = this.#vaults.get(view.name);
    if (view.kind === "Vault" && vault) this.#vaults.set(view.name, { ...vault, highest });
    this.#committed(view);
    this.#takingBack = false;
    this.found.length = quiet; // what is to be said of it was said when it was written
  }

  /** What came into an object's journal since its transaction before, held to its chain. */
  #journal(view: ObjectView, document: string | null): { before: SeenObject; entries: ChainedEntry[] } {
    const before = this.#seen.get(view.key) ?? NOTHING;
    const rows = view.rows<{ doc: string }>("SELECT doc FROM history WHERE seq > ? ORDER BY seq", before.chain.seq);
    const entries = rows.map(({ doc }) => JSON.parse(doc) as ChainedEntry);
    const broken = brokenAt(entries, before.chain);
    if (broken !== null) this.report([violation("journal", `the chain of ${view.key} breaks at ${broken}`)]);
    if (!this.#takingBack) for (const entry of entries) this.#world.note(`${view.key} ${lineOf(entry)}`);
    const last = entries.at(-1);
    this.#seen.set(view.key, { document, chain: last ? { seq: last.seq, hash: last.hash } : before.chain });
    return { before, entries };
  }

  #tenant(view: ObjectView): void {
    const document = textOf(view, "tenant");
    const { before, entries } = this.#journal(view, document);
    if (document === null) return;
    const after = JSON.parse(document) as TenantRecord;
    const known = this.#tenants.get(view.name) ?? null;
    this.#tenants.set(view.name, after);
    this.report(recorded({ name: view.key, before: before.document, after: document, entries }, documentHash));
    this.report(epochs(known && seenTenant(known), seenTenant(after)));
    this.report(forgotten(view.name, containersOf(known), containersOf(after), this.#runs));
    this.report(exit(seenTenant(after), this.#world.now));
    const tenant = this.#ledger.tenant(view.name);
    if (after.operation?.id !== tenant.operation?.id) {
      tenant.operation = after.operation && { id: after.operation.id, since: tenant.changes };
    }
    const isNew = after.held !== null && after.held.containerId !== known?.held?.containerId;
    if (after.state === "active" && after.held && isNew) this.#activated(after, after.held);
    if (known?.held && known.held.containerId !== after.held?.containerId) this.#left(known.held, after);
    const isLoss = after.lastLoss?.at !== known?.lastLoss?.at;
    this.report(
      lostCalmly(
        view.name,
        isLoss ? (after.lastLoss?.containerId ?? null) : null,
        this.#ledger.calm && !tenant.givenUp,
      ),
    );
  }

  #activated({ tenantId }: TenantRecord, { containerId, hasState }: NonNullable<TenantRecord["held"]>): void {
    const container = this.#world.containers.get(containerId);
    const known = this.#ledger.container(containerId);
    const tenant = this.#ledger.tenant(tenantId);
    known.tenants.add(tenantId);
    const saved = this.#headText(tenantId);
    // One that ended in between is not there to be looked at: its tenant finds out.
    const holds = container && hasState ? this.#ledger.note(tenantId, containerId, container) : null;
    this.report(
      activated({
        tenantId,
        containerId,
        running: container?.running ?? false,
        answered: known.answered || !container,
        holds: known.written ? null : holds,
        saved: tenant.mayBeFresh ? null : saved,
      }),
    );
    this.report(servedTenants(containerId, known.tenants));
    if (container) this.report(keysIn(containerId, givenTo(container), this.#secrets));
  }

  #left({ containerId, hasState }: NonNullable<TenantRecord["held"]>, after: TenantRecord): void {
    const { holds } = this.#ledger.container(containerId);
    if (!hasState || holds === null || after.state === "destroying" || after.state === "destroyed") return;
    const { tenantId, unsavedSince, lastLoss } = after;
    const says = { unsavedSince, lastLossOf: lastLoss?.containerId ?? null };
    const aside = this.#vaults.get(tenantId);
    const keptAside = [...(aside?.texts.values() ?? [])].includes(holds);
    this.report(left({ tenantId, containerId, holds, saved: this.#headText(tenantId), says, keptAside }));
  }

  #pool(view: ObjectView): void {
    this.#journal(view, null);
    const record = view.document<{ spec: { maxSize: number } }>("pool");
    const slots = view
      .rows<{ doc: string }>("SELECT doc FROM slots ORDER BY container_id")
      .map(({ doc }) => JSON.parse(doc) as Slot);
    const seen: SeenPool = {
      id: view.name,
      maxSize: record?.spec.maxSize ?? 0,
      slots: slots.map(({ containerId, state, tier, lease }) => ({
        containerId,
        poolId: view.name,
        state,
        tier,
        lease,
      })),
    };
    const before = this.#pools.get(view.name) ?? null;
    this.#pools.set(view.name, seen);
    this.report(poolRules(seen, before));
    this.report(forgotten(view.name, idsOf(before), idsOf(seen), this.#runs));
    this.report(leasesOf(this.pools));
  }

  #vault(view: ObjectView): void {
    if (view.name.includes("/")) return; // of a sync spec
    const vault = seenVault(view);
    const known = this.#vaults.get(view.name);
    const tenant = this.#ledger.tenant(view.name);
    if (vault === null) {
      if (known && known.vault.head !== 0 && !tenant.mayForget) {
        this.report([violation("saved", `what was saved of ${view.name} is gone, and nobody asked for that`)]);
      }
      this.#vaults.delete(view.name);
      tenant.acknowledged = 0;
      return;
    }
    if (known && known.vault.head === vault.head && known.vault.generations.length === vault.generations.length) {
      this.report(committed(vault, { ...NO_GENERATION, epoch: Math.max(known.highest, vault.epoch) }, known.highest));
      this.#vaults.set(view.name, { ...known, vault, highest: Math.max(known.highest, vault.epoch) });
      return;
    }
    const texts = new Map(known?.texts);
    for (const made of vault.generations) {
      if (texts.has(made.generation)) continue;
      texts.set(made.generation, this.#text(view, made));
      this.report(committed(vault, made, known?.highest ?? 0));
    }
    for (const generation of texts.keys()) {
      if (!vault.generations.some((one) => one.generation === generation)) texts.delete(generation);
    }
    this.#vaults.set(view.name, { vault, highest: Math.max(known?.highest ?? 0, vault.epoch), texts });
    if (vault.head !== (known?.vault.head ?? 0)) this.#headMoved(vault, known?.vault ?? null, texts);
  }

  #headMoved(vault: SeenVault, before: SeenVault | null, texts: ReadonlyMap<number, string | null>): void {
    const tenant = this.#ledger.tenant(vault.tenantId);
    const text = texts.get(vault.head) ?? null;
    const now = vault.generations.find(({ generation }) => generation === vault.head);
    if (now?.saveId.startsWith("restore-") && text !== null) {
      tenant.acknowledged = Math.min(tenant.acknowledged, tenant.at.get(text) ?? tenant.acknowledged);
    }
    if (vault.head === 0 && tenant.mayForget) tenant.acknowledged = 0;
    this.report(headRules(vault, text, tenant));
    const was = before?.generations.find(({ generation }) => generation === before.head) ?? null;
    if (now && !now.saveId.startsWith("restore-")) this.report(guarded(vault, was, now, tenant));
    const { operation, hold } = this.tenant(vault.tenantId) ?? {};
    const stillForces = operation?.release?.force || (hold?.kind === "retry" && hold.release.force);
    if (tenant.asking === 0 && !stillForces) tenant.forced = false;
  }

  #text(view: ObjectView, made: SeenGeneration): string | null {
    try {
      return generationText(view, made, this.#world.r2);
    } catch (error) {
      this.report([violation("whole", `generation ${made.generation} of ${view.name}: ${(error as Error).message}`)]);
      return null;
    }
  }

  /** What a tenant's vault has as its head; null: nothing, or it cannot be read. */
  #headText(tenantId: string): string | null {
    const known = this.#vaults.get(tenantId);
    return known ? (known.texts.get(known.vault.head) ?? null) : null;
  }
}

const NO_GENERATION: SeenGeneration = {
  generation: 0,
  status: "",
  saveId: "",
  epoch: 0,
  incarnation: "",
  files: 0,
  bytes: 0,
};

/** As the trace has it. */
const lineOf = ({ action, detail }: ChainedEntry): string => `${action} ${JSON.stringify(detail)}`;

/** Those that a tenant's record names. */
const containersOf = (record: TenantRecord | null): string[] =>
  [record?.held, ...(record?.retiring ?? [])].flatMap((one) => (one ? [one.containerId] : []));
const idsOf = (pool: SeenPool | null): string[] => pool?.slots.map(({ containerId }) => containerId) ?? [];

export const seenTenant = (record: TenantRecord): SeenTenant => record;

function textOf(view: ObjectView, table: string): string | null {
  return view.rows<{ doc: string }>(`SELECT doc FROM ${table} WHERE id = 1`)[0]?.doc ?? null;
}

type Given = NonNullable<ReturnType<World["containers"]["get"]>>;

/** All that a container was given: its environment, and what lies outside its state. */
function* givenTo({ spec, files }: Given): Generator<string> {
  yield* Object.values(spec.env);
  for (const { node } of files.walk("/run")) {
    if (node.kind === "file") yield new TextDecoder().decode(node.body);
  }
}
