import type { FaultOptions } from "../../../src/runtime/simulated/faults.ts";
import type { ClassName, Fault } from "../history/events.ts";
import { type Faults, OK, type Point, type Verdict } from "../world/faults.ts";
import type { ObjectClass, ObjectView, World } from "../world/types.ts";
import { tenantName } from "./names.ts";

const CLASS_OF: Readonly<Record<ClassName, ObjectClass>> = {
  TENANT: "Tenant",
  POOL: "Pool",
  INSTANCE: "Instance",
  VAULT: "Vault",
  FLEET: "Fleet",
};
/** How long the platform tries an alarm again that failed: what is later is lost. */
const RETRIES_MS = 150_000;
const LOST = "Network connection lost.";

type Armed = Extract<Fault, { do: "rpc" | "storage" }> & { left: number; times: number };

/**
 * The faults of a history as the world asks for them: each waits, from its step on, for the place where it strikes. None
 * of it draws anything at random: everything was drawn before.
 */
export class Chaos implements Faults {
  readonly #world: World;
  #armed: Armed[] = [];
  #interrupts: (Extract<Fault, { do: "interrupt" }> & { left: number })[] = [];
  /** By object: what becomes of its next alarm. */
  readonly #alarms = new Map<string, Extract<Fault, { do: "alarm" }>>();
  #slow: { factor: number; until: number } | null = null;
  /**
   * Objects of which an alarm was taken away, and when: until somebody asks one of them something, and the platform's own
   * retries (two minutes) are over by then, it cannot know.
   */
  readonly #deaf = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    world.faults = this;
    world.onStep = ({ label }) => {
      this.#hears(label);
      this.#interrupt(label);
    };
  }

  /** Prepares a fault, or does it at once. */
  begin(fault: Fault): void {
    switch (fault.do) {
      case "container":
        this.#strike(fault);
        return;
      case "plan":
        this.#plan(fault);
        return;
      case "rpc":
        this.#armed.push({ ...fault, left: fault.nth, times: 1 });
        return;
      case "storage":
        this.#armed.push({ ...fault, left: fault.nth });
        return;
      case "interrupt":
        this.#interrupts.push({ ...fault, left: fault.nth });
        return;
      case "evict": {
        const object = this.#oneOf(fault.of, fault.which);
        if (object && !this.#world.objects.evict(object)) this.#world.objects.crash(object);
        return;
      }
      case "alarm": {
        const object = this.#oneOf(fault.of, fault.which);
        if (object) this.#alarms.set(object.key, fault);
        return;
      }
      case "clock":
        this.#world.skipClock(fault.ms);
        return;
      case "slow":
        this.#slow = { factor: fault.factor, until: this.#world.now + fault.ms };
    }
  }

  verdict(point: Point): Verdict {
    if (point.at === "alarm") return this.#alarm(point.object);
    for (const armed of this.#armed) {
      if (!meets(armed, point)) continue;
      armed.left -= 1;
      if (armed.left > 0) continue;
      armed.times -= 1;
      if (armed.times <= 0) this.#armed = this.#armed.filter((one) => one !== armed);
      return verdictOf(armed);
    }
    return this.#slowness(point);
  }

  #alarm(object: string): Verdict {
    const fault = this.#alarms.get(object);
    if (!fault) return OK;
    this.#alarms.delete(object);
    if (fault.how !== "twice") this.#deaf.set(object, this.#world.now);
    return fault.how === "late"
      ? { do: "delay", ms: fault.ms }
      : fault.how === "lost"
        ? { do: "lose" }
        : { do: "twice" };
  }

  isDeaf = (object: string): boolean => this.#deaf.has(object);

  /** Only a call that arrives is heard: one that was lost on its way has told nobody anything. */
  #hears(label: string): void {
    if (this.#deaf.size === 0) return;
    const [, object = ""] = /^call .* → (\S+)\.\w+$/.exec(label) ?? [];
    const since = this.#deaf.get(object);
    if (since !== undefined && this.#world.now - since > RETRIES_MS) this.#deaf.delete(object);
  }

  #slowness({ at }: Point): Verdict {
    if (!this.#slow) return OK;
    if (this.#world.now > this.#slow.until) this.#slow = null;
    else if (at === "deliver" || at === "reply" || at === "r2" || at === "d1") {
      return { do: "delay", ms: this.#slow.factor * 5 };
    }
    return OK;
  }

  #interrupt(label: string): void {
    if (this.#interrupts.length === 0) return;
    for (const fault of this.#interrupts) fault.left -= 1;
    const [due] = this.#interrupts.filter(({ left }) => left <= 0);
    if (!due) return;
    this.#interrupts = this.#interrupts.filter((fault) => fault !== due);
    if (due.how === "update") {
      this.#world.objects.deploy();
      return;
    }
    const object = this.#named(label);
    if (!object) return;
    this.#world.note(`interrupts ${object.key} (${due.how})`);
    if (due.how === "evict") this.#world.objects.crash(object);
    else this.#world.objects.overlap(object, due.ms);
  }

  /** The object that an event is about, by what its label says. */
  #named(label: string): ObjectView | null {
    for (const [, kind, name] of label.matchAll(/(Tenant|Pool|Instance|Vault|Fleet)\/([A-Za-z0-9_.:@/-]+)/g)) {
      const object = this.#world.objects.find(kind as ObjectClass, name ?? "");
      if (object?.inMemory) return object;
    }
    return null;
  }

  #oneOf(of: ClassName, which: number): ObjectView | null {
    const there = this.#world.objects.list(CLASS_OF[of]).filter(({ stored, inMemory }) => stored || inMemory);
    return there[which % Math.max(1, there.length)] ?? null;
  }

  #strike({ which, tenant, how }: Extract<Fault, { do: "container" }>): void {
    const { running, controls } = this.#world.containers;
    const own = tenant === undefined ? null : this.#held(tenantName(tenant));
    const id = own ?? running[which % Math.max(1, running.length)];
    if (id === undefined || !running.includes(id)) return;
    const control = controls.for(id);
    this.#world.note(`fault ${how} of Container/${id}`);
    switch (how) {
      case "crash":
        control.crash(1);
        return;
      case "oom":
        control.crash(137);
        return;
      case "exit":
        control.crash(0);
        return;
      case "freeze":
        control.freeze();
        return;
      case "vanish":
        control.vanish();
        return;
    }
  }

  #held(tenantId: string): string | null {
    const record = this.#world.objects
      .find("Tenant", tenantId)
      ?.document<{ held: { containerId: string } | null }>("tenant");
    return record?.held?.containerId ?? null;
  }

  #plan({ at, how, ms, times }: Extract<Fault, { do: "plan" }>): void {
    const { every } = this.#world.containers.controls;
    const options: FaultOptions = { times };
    switch (how) {
      case "fail":
        return void every.fail(at, options);
      case "fail-late":
        return void every.fail(at, { ...options, late: true });
      case "capacity":
        return void every.fail(at, { ...options, code: "capacity", late: true });
      case "rate":
        return void every.fail(at, { ...options, code: "rate_limited" });
      case "slow":
        return void every.slow(at, ms, options);
      case "hang":
        return void every.hang(at, options);
      case "lose":
        return void every.lose(at, options);
      case "truncate":
        return void every.truncate("restore", options);
    }
  }
}

function meets(armed: Armed, point: Point): boolean {
  if (armed.do === "storage") {
    if (armed.how === "truncate") return point.at === "body" && point.from.startsWith("R2");
    const before = armed.at === "D1" ? "d1" : "r2";
    return point.at === (armed.how === "fail-after" ? `${before}-reply` : before);
  }
  const isBack = armed.how === "lose-after" || armed.how === "late-reply";
  if (point.at !== (isBack ? "reply" : "deliver")) return false;
  return point.to.startsWith(`${CLASS_OF[armed.to]}/`) && (armed.method === null || armed.method === point.method);
}

function verdictOf(armed: Armed): Verdict {
  switch (armed.how) {
    case "lose-before":
    case "lose-after":
      return { do: "fail", message: LOST };
    case "fail-before":
    case "fail-after":
      return { do: "fail", message: `${armed.do === "storage" ? armed.at : ""}: internal error` };
    case "delay":
    case "late-reply":
    case "slow":
      return { do: "delay", ms: armed.ms };
    case "hang":
      return { do: "lose" };
    case "truncate":
      return { do: "truncate", after: 700 };
  }
}
