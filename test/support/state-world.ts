import { runDurableObjectAlarm } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type { Generation } from "../../src/ids.ts";
import type { StorageProps, VaultApi } from "../../src/vault/types.ts";
import { type Answer, call, claim, env, eventually, release, simulation, status } from "./fleet.ts";
import { type Random, seeded } from "./random.ts";
import { StateDirectory } from "./state-directory.ts";
import { describeVault, generationOf } from "./vault-audit.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * One tenant whose state is saved and sabotaged, and what is known of it: every directory that there ever was, and which
 * of them was last acknowledged as saved. Whatever went wrong, `audit` holds.
 */
export class StateWorld {
  readonly tenant: string;
  readonly pool: string;
  readonly random: Random;
  directory!: StateDirectory;
  containerId = "";
  epoch = 0;
  /** Directory → when it last was so. */
  readonly #known = new Map<string, number>();
  #now = 0;
  #acknowledged = 0;

  private constructor(name: string, pool: string, seed: number) {
    this.tenant = name;
    this.pool = pool;
    this.random = seeded(seed);
  }

  /** A tenant of this pool with some files, of which generation 1 is saved; it is running. */
  static async create(pool: string, seed: number): Promise<StateWorld> {
    const world = new StateWorld(`${pool}-${seed}`, pool, seed);
    await world.claim();
    world.directory.fill(5 + world.random.int(25));
    world.note();
    expect((await world.sync()).status).toBe(200);
    return world;
  }

  get props(): Omit<StorageProps, "accessKeyId"> {
    return { tenantId: this.tenant, epoch: this.epoch, incarnation: this.containerId, poolId: this.pool } as never;
  }

  /** What a container sends to `sink.internal`, as this one or as an earlier one. */
  gateway(props = this.props): (path: string, init?: RequestInit) => Promise<Response> {
    const accessKeyId = "AKSABOTAGE";
    const made = (exports as unknown as { StorageGateway: (options: { props: unknown }) => Fetcher }).StorageGateway({
      props: { ...props, accessKeyId },
    });
    return (path, init = {}) => {
      const headers = { "x-boilerhouse-access-key": accessKeyId };
      return made.fetch(`http://sink.internal${path}`, { ...init, headers });
    };
  }

  get vault() {
    return env.VAULT.getByName(this.tenant);
  }
  alarm(of: "tenant" | "pool" | "vault"): Promise<boolean> {
    const stubs = { tenant: env.TENANT.getByName(this.tenant), pool: env.POOL.getByName(this.pool), vault: this.vault };
    return runDurableObjectAlarm(stubs[of] as unknown as DurableObjectStub);
  }

  /** The last directory that was noted. */
  latest = "";

  /** The directory as it is now is one that may come to be saved. */
  note(): void {
    this.#now += 1;
    this.latest = this.directory.text;
    this.#known.set(this.latest, this.#now);
  }

  change(times = 1 + this.random.int(6)): void {
    for (let n = 0; n < times; n += 1) {
      this.directory.change();
      this.note();
    }
  }

  async claim(): Promise<Answer> {
    const answer = await claim(this.tenant, this.pool);
    if (answer.status < 300) await this.found();
    return answer as unknown as Answer;
  }

  /** Learns which container serves, and that what it holds is what was saved. */
  async found(): Promise<void> {
    const { body } = await status(this.tenant);
    if (body.state !== "active" || body.containerId === this.containerId) return;
    this.containerId = String(body.containerId);
    this.epoch = Number(body.epoch);
    const id = this.containerId;
    this.directory = new StateDirectory(() => simulation.for(id).container.files, this.random);
    const head = await this.head();
    if (head !== null) expect(this.directory.text, "what was restored").toBe(head);
    this.note();
  }

  crash(): void {
    if (simulation.running.includes(this.containerId)) simulation.for(this.containerId).crash();
  }

  readonly sync = (): Promise<Answer> => this.#saving(() => this.#act("sync", { direction: "outward" }));
  readonly stop = (): Promise<Answer> => this.#saving(() => this.#act("stop"));
  readonly restart = (): Promise<Answer> => this.#saving(() => this.#act("restart", { scope: "container" }));
  readonly release = (body: object = {}): Promise<Answer> => this.#saving(() => release(this.tenant, body));
  anySave(): Promise<Answer> {
    return this.random.pick([this.sync, this.stop, this.restart, this.release])();
  }

  /** An admin makes an earlier generation the head, whatever the tenant is doing; from then on that is what is saved. */
  async moveHead(generation: Generation): Promise<void> {
    const { epoch } = await describeVault(this.tenant);
    const ref = { epoch, incarnation: "admin", saveId: `moved-${this.random.int(2 ** 30)}` };
    const outcome = await (this.vault as unknown as VaultApi).restoreTo(ref, generation);
    expect(outcome).toMatchObject({ ok: true });
    this.#acknowledged = this.#known.get(await generationOf(this.tenant, generation)) ?? 0;
  }

  /** The saved directory; null before the first. */
  async head(): Promise<string | null> {
    const { head } = await describeVault(this.tenant);
    return head === null ? null : generationOf(this.tenant, head.generation);
  }

  /**
   * The head is a complete, verified generation, of a directory that there was once, not before what was acknowledged;
   * and whatever else is listed is as complete.
   */
  async audit(): Promise<void> {
    const { head, generations } = await describeVault(this.tenant);
    for (const { generation } of generations) {
      const text = await generationOf(this.tenant, generation);
      if (!this.#known.has(text))
        expect(text, `generation ${generation} is a directory that there was`).toBe(this.latest);
    }
    const at = head === null ? 0 : (this.#known.get(await generationOf(this.tenant, head.generation)) ?? -1);
    expect(at, "the head is not older than what was acknowledged").toBeGreaterThanOrEqual(this.#acknowledged);
    const next = ((generations.at(-1)?.generation ?? 0) + 1) as Generation;
    await expect(generationOf(this.tenant, next), "nothing is readable before it is committed").rejects.toThrow();
  }

  /** Nothing goes wrong any more: the tenant comes back with what was saved, and can be saved and released. */
  async recovers(): Promise<void> {
    vi.restoreAllMocks();
    simulation.every.faults.clear();
    await this.audit();
    await eventually(async () => {
      await this.alarm("tenant");
      await this.alarm("pool");
      expect(await this.claim(), "a claim").toMatchObject({ body: { state: "active" } });
    }, 10_000);
    await this.found();
    await this.audit();
    this.change();
    await eventually(async () => {
      await this.alarm("tenant");
      let released = await this.release({ force: true });
      // A container that began elsewhere can never replace the head: it is given up.
      if (released.body.code === "conflict") released = await this.release({ sync: false });
      expect(released).toMatchObject({ status: 200, body: { state: "idle" } });
    }, 10_000);
    await this.audit();
    await this.alarm("vault");
    await this.audit();
  }

  /** The containers of this world's pool that run. */
  async running(): Promise<string[]> {
    const { body } = await call<{ items?: { id: string }[] }>("GET", `/api/v1/pools/${this.pool}/containers`);
    return (body.items ?? []).map(({ id }) => id).filter((id) => simulation.running.includes(id));
  }

  async #saving(ask: () => Promise<Answer>): Promise<Answer> {
    const before = this.#now;
    const answer = await ask();
    if (answer.status === 200 && answer.body.saved) this.#acknowledged = Math.max(this.#acknowledged, before);
    await this.found();
    return answer;
  }

  #act = (action: string, body: object = {}): Promise<Answer> =>
    call("POST", `/api/v1/tenants/${this.tenant}/${action}?wait=10s`, body);
}

export { pause };
