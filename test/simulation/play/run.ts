import { seeded } from "../../support/random.ts";
import { StateDirectory } from "../../support/state-directory.ts";
import { answered, destroyed, untouched } from "../audit/answers.ts";
import { armed, dueOf } from "../audit/records.ts";
import type { Violation } from "../audit/violation.ts";
import { violation } from "../audit/violation.ts";
import type { History } from "../history/draw.ts";
import { type Event, isFault, lineOf, type Step, type WorkloadEvent } from "../history/events.ts";
import type { World } from "../world/types.ts";
import { Chaos } from "./chaos.ts";
import { Client, type Ended } from "./client.ts";
import { watchEffects } from "./effects.ts";
import { Ledger } from "./ledger.ts";
import { tenantName } from "./names.ts";
import { Registry } from "./registry.ts";
import { settle } from "./settle.ts";
import { seenTenant, Watch } from "./watch.ts";

/** How a history ended. */
export interface Played {
  violations: Violation[];
  /** How many steps were done when the first was found. */
  steps: number;
}

/** How late an alarm may be set beside what is due: its jitter. */
const ALARM_GRACE_MS = 20_000;
const WARM_UP_MS = 30_000;

/** Plays a history in a new world, audited after every step and at its end. Ends with the first violation. */
export async function play(world: World, history: History, options: { aDay: boolean }): Promise<Played> {
  const { setup } = history;
  const ledger = new Ledger();
  const registry = new Registry(world, setup);
  const watch = new Watch(world, ledger, setup);
  watchEffects(world, ledger, watch);
  const client = new Client(world, ledger, registry, (ended) => watch.found.push(...rulesOf(ended, watch, ledger)));
  await world.finish(
    world.worker("register", (env) => registry.createAll(env)),
    WARM_UP_MS,
  );
  await world.advance(WARM_UP_MS);
  const chaos = new Chaos(world);
  const strike = world.onStep;
  world.onStep = (event) => {
    strike(event);
    client.collect();
    watch.look();
  };
  const done = (steps: number): Played => ({ violations: watch.found.slice(0, 5), steps });
  for (const [index, step] of history.steps.entries()) {
    await perform(step, { world, ledger, client, chaos, watch });
    client.collect();
    watch.look();
    if (watch.found.length === 0) watch.found.push(...alarms(world, watch, chaos));
    if (watch.found.length === 0) watch.found.push(...complaints(world));
    if (watch.found.length > 0) return done(index + 1);
  }
  const wrong = await settle({ world, watch, client, registry }, options.aDay);
  watch.found.push(...wrong);
  return done(history.steps.length);
}

interface Stage {
  world: World;
  ledger: Ledger;
  client: Client;
  chaos: Chaos;
  watch: Watch;
}

async function perform({ event, thenMs }: Step, stage: Stage): Promise<void> {
  const { world, client, chaos, watch, ledger } = stage;
  const before = event.do === "read" ? sleeping(event.tenant, stage) : null;
  if (isFault(event)) {
    ledger.calm = false;
    chaos.begin(event);
  } else if (isWorkload(event)) workload(event, stage);
  else client.do(event);
  await world.advance(thenMs);
  if (before === null || event.do !== "read") return;
  const { asked } = ledger.tenant(before.tenantId);
  if (asked === before.asked) {
    watch.found.push(
      ...untouched(lineOf({ event, thenMs }), before.state, watch.tenant(before.tenantId)?.state ?? null),
    );
  }
}

/** A tenant that nothing but a request wakes, and of which nobody waits for anything. */
function sleeping(index: number, { ledger, watch }: Stage) {
  const tenantId = tenantName(index);
  const record = watch.tenant(tenantId);
  const { asking, asked } = ledger.tenant(tenantId);
  const rests = record?.state === "asleep" || record?.state === "idle" || record?.state === "suspended";
  if (!record || !rests || record.operation || record.wakeAt !== null || asking > 0) return null;
  return { tenantId, state: record.state, asked };
}

const isWorkload = (event: Event): event is WorkloadEvent =>
  event.do === "write" || event.do === "wipe" || event.do === "workload";

/** What a running workload does in its container. One that is stopped does nothing. */
function workload(event: WorkloadEvent, { world, ledger, watch }: Stage): void {
  const tenantId = tenantName(event.tenant);
  const { held, state } = watch.tenant(tenantId) ?? {};
  const container = held && world.containers.get(held.containerId);
  if (!held || !container?.running || state !== "active") return;
  if (container.init.supervisor.state !== "running") return;
  if (event.do === "workload") {
    ledger.calm = false;
    const process = container.init.workload();
    if (process && event.how === "hang") process.hung = true;
    else void process?.serve(new Request("http://container/crash", { method: "POST" }));
    return;
  }
  if (!held.hasState) return;
  const directory = new StateDirectory(() => container.files, seeded(event.seed));
  const known = ledger.container(held.containerId);
  known.written = true;
  if (event.do === "wipe") directory.remove(event.part);
  else
    for (let n = 0; n < event.times; n += 1) {
      directory.change();
      ledger.note(tenantId, held.containerId, container);
    }
  ledger.note(tenantId, held.containerId, container);
}

/** While things go wrong a 500 is what the API makes of a call that broke off, and says no more than that. */
function rulesOf(ended: Ended, watch: Watch, { calm }: Ledger): Violation[] {
  if (!calm && ended.status === 500) return [];
  if (!ended.asked.startsWith("destroy")) return answered(ended);
  const state = ended.tenantId === null ? null : (watch.tenant(ended.tenantId)?.state ?? null);
  return [...answered(ended), ...destroyed(ended, state)];
}

/** What nobody caught; but that a copy of an object which was superseded may do nothing any more is as it should be. */
const complaints = ({ complaints: all }: World): Violation[] =>
  all.filter((text) => !text.includes("instance is no longer active")).map((text) => violation("answers", text));

/** I9, when nothing runs: what is due has its alarm. */
function alarms(world: World, watch: Watch, chaos: Chaos): Violation[] {
  return [...world.objects.list("Tenant"), ...world.objects.list("Pool")].flatMap((view) => {
    const excused = view.busy || chaos.isDeaf(view.key) || view.unconfirmed;
    const record = watch.tenant(view.name);
    const due =
      view.kind === "Pool" ? poolDue(view.name, watch, world.now) : record && dueOf(seenTenant(record), world.now);
    return armed(view.key, due, view.alarmAt, excused, ALARM_GRACE_MS);
  });
}

function poolDue(id: string, watch: Watch, now: number): number | null {
  const pool = watch.pools.find((one) => one.id === id);
  return pool && pool.slots.length > 0 ? now + 80_000 : null;
}
